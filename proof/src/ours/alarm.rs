//! Notes panics of the library itself, which Tokio would swallow where they hit one of its tasks.
//!
//! The panics of programs do not come here: they unwind without the hook.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// What panicked during the run on this thread, if one is going on.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `run` and gives its value and what panicked meanwhile on this thread.
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
