//! A page in headless Chromium. Used by the tests of the command, too.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of one's own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("taskgroup-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the browser makes of the page, after its script has run. `TASKGROUP_CHROMIUM` names the
/// browser; `chromium` in the path otherwise.
pub(crate) fn dom(folder: &Folder, page: &Path, chosen: &str) -> String {
    let browser = std::env::var("TASKGROUP_CHROMIUM").unwrap_or_else(|_| "chromium".into());
    let quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync \
                 --disable-background-networking --disable-component-update \
                 --allow-file-access-from-files --window-size=1400,1200";
    let dump = Command::new(browser)
        .args(quiet.split_whitespace())
        .arg(format!(
            "--user-data-dir={}",
            folder.path("profile").display()
        ))
        .arg("--dump-dom")
        .arg(format!("file://{}{chosen}", page.display()))
        .output()
        .unwrap();
    String::from_utf8(dump.stdout).unwrap()
}
