//! Keeps the panics of explored programs from the terminal: a run that fails is run many times, and
//! the report tells what panicked.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// What panicked on this thread, if a run is going on here.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The most messages that are kept of one run.
const MOST: usize = 4;

/// Runs `run` and gives its value and what panicked meanwhile on this thread. Other threads are
/// left alone.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let heard = HEARD.try_with(|heard| {
                let mut heard = heard.borrow_mut();
                let list = heard.as_mut()?;
                if list.len() < MOST {
                    list.push(info.to_string());
                }
                Some(())
            });
            if !matches!(heard, Ok(Some(()))) {
                usual(info);
            }
        }));
    });
    /// Also when `run` unwinds, the thread is heard again.
    struct Listening;
    impl Drop for Listening {
        fn drop(&mut self) {
            HEARD.set(None);
        }
    }
    HEARD.set(Some(Vec::new()));
    let listening = Listening;
    let value = run();
    let heard = HEARD.take();
    drop(listening);
    (value, heard.unwrap_or_default())
}
