//! Whether the machine has room for another command, and how long after the one before it a command
//! may start: `--load`, `--memfree`, `--delay`.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::plan::Room;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Lets one command after the other pass when there is room. With none running that will end, the
/// next one passes in any case: nothing that this run could wait for would make room.
#[derive(Default)]
pub(super) struct Gate {
    /// When the last one passed.
    one_by_one: Mutex<Option<Instant>>,
    /// How many have passed that will end by themselves.
    inside: AtomicUsize,
}

/// A command that has passed and will end. Dropping it says that the command has ended.
pub(super) struct Passed<'a>(&'a Gate);

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        // Relaxed: a number alone.
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A command that `lasts` does not end by itself, so it is not counted. Cancel safe.
    pub(super) async fn pass(&self, room: &Room, lasts: bool) -> Option<Passed<'_>> {
        if room.is_limited() {
            let mut last = self.one_by_one.lock().await;
            if let (Some(last), Some(delay)) = (*last, room.delay) {
                sleep(delay.saturating_sub(last.elapsed())).await;
            }
            while self.inside.load(Ordering::Relaxed) > 0 && !has_room(room) {
                sleep(PAUSE).await;
            }
            *last = Some(Instant::now());
        }
        (!lasts).then(|| {
            self.inside.fetch_add(1, Ordering::Relaxed);
            Passed(self)
        })
    }
}

/// The start has made sure that what is limited can be read. If it no longer can, there is no room.
fn has_room(room: &Room) -> bool {
    let below = room
        .load
        .is_none_or(|most| load().is_ok_and(|load| load < most));
    below
        && room
            .memory
            .is_none_or(|least| memory().is_ok_and(|free| free > least))
}

/// Fails if the system does not tell what is limited.
pub(crate) fn can_be_measured(room: &Room) -> io::Result<()> {
    if room.load.is_some() {
        load()?;
    }
    if room.memory.is_some() {
        memory()?;
    }
    Ok(())
}

/// How many processes have wanted to run in the last minute, on average.
fn load() -> io::Result<f64> {
    let path = "/proc/loadavg";
    let text = fs::read_to_string(path)?;
    let first = text
        .split_whitespace()
        .next()
        .and_then(|load| load.parse().ok());
    first.ok_or_else(|| io::Error::other(format!("{path} has no load")))
}

/// How many bytes commands could get without swapping.
fn memory() -> io::Result<u64> {
    let path = "/proc/meminfo";
    let text = fs::read_to_string(path)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let bytes = kilobytes.map(|kilobytes| kilobytes * 1024);
    bytes.ok_or_else(|| io::Error::other(format!("{path} has no MemAvailable")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_measured() {
        assert!(load().unwrap() >= 0.0);
        assert!(memory().unwrap() > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_command_always_has_room_and_a_second_one_waits() {
        let gate = Gate::default();
        let never = Room {
            memory: Some(u64::MAX),
            ..Room::default()
        };
        let first = gate.pass(&never, false).await;
        let second = tokio::time::timeout(Duration::from_secs(60), gate.pass(&never, false)).await;
        assert!(second.is_err());
        drop(first);
        gate.pass(&never, false).await;
        let _others = (
            gate.pass(&Room::default(), false).await,
            gate.pass(&Room::default(), false).await,
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_passes_so_long_after_the_one_before_it() {
        let gate = Gate::default();
        let delayed = Room {
            delay: Some(Duration::from_secs(3)),
            ..Room::default()
        };
        let begin = Instant::now();
        let _first = gate.pass(&delayed, false).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        // One that has given up while it waited changes nothing.
        let given_up =
            tokio::time::timeout(Duration::from_secs(1), gate.pass(&delayed, false)).await;
        assert!(given_up.is_err());
        drop(gate.pass(&delayed, false).await);
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
        // However long that was ago, there is no second pause.
        sleep(Duration::from_secs(10)).await;
        gate.pass(&delayed, false).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(13));
    }

    #[tokio::test(start_paused = true)]
    async fn no_command_waits_for_the_end_of_one_that_lasts() {
        let gate = Gate::default();
        let never = Room {
            memory: Some(u64::MAX),
            ..Room::default()
        };
        let _service = gate.pass(&never, true).await;
        let first = gate.pass(&never, false).await;
        let service = tokio::time::timeout(Duration::from_secs(60), gate.pass(&never, true)).await;
        assert!(service.is_err(), "the first command will end");
        drop(first);
        gate.pass(&never, false).await;
    }
}
