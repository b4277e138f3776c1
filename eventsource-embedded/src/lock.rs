//! One process at a time: the lock on a data directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::open::OpenError;

const FILE_NAME: &str = "lock";

/// The lock on a data directory, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    directory: PathBuf,
    /// Closing the file gives the lock back.
    _file: File,
}

impl DirLock {
    /// Takes the lock on `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// [`OpenError::Locked`] with the holder's process id when another process has it.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(directory).map_err(OpenError::io(directory))?;
        let path = directory.join(FILE_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(OpenError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let directory = directory.to_path_buf();
                return Err(OpenError::Locked { directory, holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&path)(error)),
        }
        sign(&mut file).map_err(OpenError::io(&path))?;
        Ok(Self { directory: directory.to_path_buf(), _file: file })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Writes who holds the lock.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

/// The process that holds the lock, as it signed.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::DirLock;
    use crate::open::OpenError;

    #[test]
    fn the_second_holder_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/on/the/way");
        let first = DirLock::acquire(&path).unwrap();
        let error = DirLock::acquire(&path).unwrap_err();
        assert!(matches!(&error, OpenError::Locked { holder, .. } if *holder == Some(std::process::id())));
        let text = error.to_string();
        assert!(text.contains("made/on/the/way") && text.contains(&std::process::id().to_string()), "{text}");
        drop(first);
        DirLock::acquire(&path).unwrap();
    }
}
