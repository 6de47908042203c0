//! The work of the children: the same futures for every peer.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A timeout that never fires: every program here ends within a minute.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// For how long a hog computes.
pub(crate) const HOG: Duration = Duration::from_millis(20);

/// Moves its task once behind the other tasks of its runtime.
///
/// `tokio::task::yield_now` would do that as well on Tokio tasks. But it stores its waker in the
/// runtime, and the measurement would include that.
#[derive(Default)]
pub(crate) struct YieldOnce {
    yielded: bool,
}

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How many children are parked.
#[derive(Clone, Default)]
pub(crate) struct Parking {
    parked: Arc<AtomicUsize>,
}

impl Parking {
    /// A child that counts at its first poll and then waits for ever.
    pub(crate) fn child(&self) -> Parked {
        Parked {
            parking: self.clone(),
            parked: false,
        }
    }

    /// Counts one more.
    pub(crate) fn arrive(&self) {
        self.parked.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn count(&self) -> usize {
        self.parked.load(Ordering::Acquire)
    }

    /// Waits until `n` children are parked.
    pub(crate) async fn full(&self, n: usize) {
        while self.count() < n {
            tokio::task::yield_now().await;
        }
    }
}

/// See [`Parking::child`].
pub(crate) struct Parked {
    parking: Parking,
    parked: bool,
}

impl Future for Parked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if !self.parked {
            self.parked = true;
            self.parking.arrive();
        }
        Poll::Pending
    }
}

/// Keeps children busy until it is stopped.
#[derive(Clone, Default)]
pub(crate) struct Busy {
    stopped: Arc<AtomicBool>,
}

impl Busy {
    pub(crate) const CHILDREN: usize = 1_000;

    /// A child that alternately computes for a microsecond and yields.
    pub(crate) fn child(&self) -> impl Future<Output = ()> + Send + use<> {
        let busy = self.clone();
        async move {
            while !busy.stopped.load(Ordering::Acquire) {
                compute(Duration::from_micros(1));
                YieldOnce::default().await;
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

/// Sleeps for a millisecond `n` times. Returns by how much each sleep took longer.
pub(crate) async fn late(n: usize) -> Vec<Duration> {
    const SLEEP: Duration = Duration::from_millis(1);
    let mut late = Vec::with_capacity(n);
    for _ in 0..n {
        let begin = Instant::now();
        tokio::time::sleep(SLEEP).await;
        late.push(begin.elapsed().saturating_sub(SLEEP));
    }
    late
}

/// The sum of the results of `n` children.
pub(crate) fn sum_below(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// Computes for about `duration` on an idle core. The number of steps is fixed, so it takes longer
/// on a shared core.
pub(crate) fn compute(duration: Duration) {
    /// Steps in a microsecond.
    static SPEED: OnceLock<f64> = OnceLock::new();
    let speed = SPEED.get_or_init(|| {
        const STEPS: u64 = 200_000;
        let fastest = (0..20).map(|_| {
            let begin = Instant::now();
            steps(STEPS);
            begin.elapsed()
        });
        let fastest = fastest.min().unwrap_or_default();
        STEPS as f64 / (fastest.as_nanos() as f64 / 1_000.0)
    });
    steps((speed * duration.as_nanos() as f64 / 1_000.0) as u64);
}

fn steps(count: u64) {
    let mut value = 1_u64;
    for _ in 0..count {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1),
        );
    }
    black_box(value);
}

/// The resident memory of this process in bytes, or `None` without `/proc`.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
