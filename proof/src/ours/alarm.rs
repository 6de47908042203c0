//! Records panics of the library itself, which Tokio would swallow in its own tasks.
//!
//! Panics of programs are not recorded, because they unwind without the hook.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// The panics during the current run on this thread, if there is a run.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `run`. Returns its value and the panics on this thread meanwhile.
pub(super) fn listen<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let noted = HEARD
                .with_borrow_mut(|heard| heard.as_mut().map(|heard| heard.push(info.to_string())));
            if noted.is_none() {
                usual(info);
            }
        }));
    });
    HEARD.set(Some(Vec::new()));
    let value = run();
    (value, HEARD.take().unwrap_or_default())
}
