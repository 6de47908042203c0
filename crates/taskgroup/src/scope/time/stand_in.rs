//! A thread that rings where no runtime has a clock: it was built without one, or was shut down.
//!
//! It stands in for one kind of alarm, by which cancelled code looks again at what it has put aside
//! (T13). That code never asked for time, and without the alarm it would never end. Whatever else
//! needs a clock says so where there is none.

use std::time::{Duration, Instant};

use super::timer::Alarm;
use crate::gate;
use crate::sync::Mutex;

/// The thread looks that often, at least. No alarm for it is much more urgent.
const TURN: Duration = Duration::from_millis(250);

#[derive(Default)]
struct StandIn {
    alarms: Vec<(Instant, Alarm)>,
    /// There is a thread, which goes when no alarm is left.
    runs: bool,
}

fn stand_in() -> &'static Mutex<StandIn> {
    static STAND_IN: std::sync::OnceLock<Mutex<StandIn>> = std::sync::OnceLock::new();
    STAND_IN.get_or_init(Mutex::default)
}

/// Rings after `pause`.
pub(super) fn ring(pause: Duration, alarm: Alarm) {
    let Some(at) = Instant::now().checked_add(pause) else {
        return;
    };
    let has_thread = {
        let mut stand_in = stand_in().lock();
        stand_in.alarms.push((at, alarm));
        std::mem::replace(&mut stand_in.runs, true)
    };
    if !has_thread {
        let thread = std::thread::Builder::new().name("taskgroup-clock".into());
        if thread.spawn(turns).is_err() {
            // The next one tries again.
            stand_in().lock().runs = false;
        }
    }
}

fn turns() {
    while let Some(pause) = turn() {
        std::thread::sleep(pause);
    }
}

/// Rings what is due. Returns when to look again, if anything is left.
fn turn() -> Option<Duration> {
    let now = Instant::now();
    let due = {
        let mut stand_in = stand_in().lock();
        let all = std::mem::take(&mut stand_in.alarms).into_iter();
        let (due, later): (Vec<_>, _) = all.partition(|(at, _)| *at <= now);
        stand_in.alarms = later;
        due
    };
    for (_, alarm) in due {
        gate::call_or_report("an alarm", || alarm.fire());
    }
    let mut stand_in = stand_in().lock();
    let next = stand_in.alarms.iter().map(|(at, _)| *at).min();
    stand_in.runs = next.is_some();
    next.map(|next| next.saturating_duration_since(now).min(TURN))
}
