//! Why a file or folder cannot be used, in words that lead on.

use std::io;
use std::path::{self, Path};

/// What the error means for this path. The system's words leave open what is missing, and where.
pub(crate) fn reason(path: &Path, error: &io::Error) -> String {
    let full = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match error.kind() {
        io::ErrorKind::NotFound => {
            let mut above = full.ancestors().skip(1);
            let missing = above.clone().take_while(|folder| !folder.exists()).last();
            match (missing, above.next()) {
                (Some(folder), _) => format!("there is no folder {}", folder.display()),
                (None, Some(folder)) if !full.exists() => {
                    format!("there is no such file or folder in {}", folder.display())
                }
                _ => error.to_string(),
            }
        }
        io::ErrorKind::IsADirectory => "it is a folder, and a file is needed".to_owned(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            let file = full
                .ancestors()
                .find(|path| path.exists() && !path.is_dir());
            match file {
                Some(file) => format!("{} is no folder, and a folder is needed", file.display()),
                None => error.to_string(),
            }
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn what_is_missing_or_in_the_way_is_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        File::create(at("file")).unwrap();
        let here = folder.path().display();
        let opened = |name: &str| {
            let error = File::create_new(at(name)).and_then(|_| File::open(at("none")));
            reason(&at(name), &error.unwrap_err())
        };
        assert_eq!(opened("a/b/c"), format!("there is no folder {here}/a"));
        assert_eq!(
            opened("file/x"),
            format!("{here}/file is no folder, and a folder is needed")
        );
        let read = |name: &str| reason(&at(name), &fs::read(at(name)).unwrap_err());
        assert_eq!(
            read("none"),
            format!("there is no such file or folder in {here}")
        );
        assert_eq!(read("."), "it is a folder, and a file is needed");
        let made = fs::create_dir_all(at("file")).unwrap_err();
        assert_eq!(
            reason(&at("file"), &made),
            format!("{here}/file is no folder, and a folder is needed")
        );
    }
}
