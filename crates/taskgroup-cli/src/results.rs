//! A folder with the output of each command, as the bytes came.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::fingerprint;

/// No part of a path may be longer, on most systems.
const LONGEST: usize = 200;

pub(crate) struct Results(PathBuf);

impl Results {
    pub(crate) fn create(folder: PathBuf) -> io::Result<Results> {
        fs::create_dir_all(&folder)?;
        Ok(Results(folder))
    }

    /// The files for standard output and standard error of this attempt. Those of an earlier
    /// attempt get its number.
    pub(crate) fn open(&self, name: &str, attempt: u32) -> io::Result<[Option<File>; 2]> {
        let folder = self.0.join(folder_of(name));
        fs::create_dir_all(&folder)?;
        let open = |stream: &str| {
            let file = folder.join(stream);
            if attempt > 1 {
                let before = folder.join(format!("{stream}.{}", attempt - 1));
                fs::rename(&file, before)?;
            }
            File::create(file).map(Some)
        };
        Ok([open("stdout")?, open("stderr")?])
    }
}

/// A folder for each group and for the task. No name leads out of the folder.
fn folder_of(name: &str) -> PathBuf {
    let mut folder = PathBuf::new();
    for part in name.split('/') {
        let mut part = match part {
            "" | "." | ".." => format!("_{part}"),
            part => part.to_owned(),
        };
        if part.len() > LONGEST {
            // What is cut off may be all that distinguishes it.
            let hash = fingerprint(&part);
            while part.len() + hash.len() > LONGEST {
                part.pop();
            }
            part += &hash;
        }
        folder.push(Path::new(&part));
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert_eq!(folder_of("a/b"), Path::new("a/b"));
        assert_eq!(folder_of("/../."), Path::new("_/_../_."));
        let long = "é".repeat(300);
        assert_eq!(folder_of(&long).as_os_str().len(), LONGEST);
        assert_eq!(folder_of(&long), folder_of(&long));
        assert_ne!(folder_of(&long), folder_of(&format!("{long}e")));
    }
}
