//! One process at a time: the locks on a data directory and on an SQLite file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::{db::Fault, open::OpenError};

const FILE_NAME: &str = "lock";

/// The lock on a data directory, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    directory: PathBuf,
    _lock: Lock,
}

/// The lock on one database, in a file beside it: SQLite's own would let a second process in.
#[derive(Debug)]
pub(crate) struct FileLock {
    _lock: Lock,
}

/// A locked file with the holder's process id in it.
#[derive(Debug)]
struct Lock {
    /// Closing the file gives the lock back.
    _file: File,
}

/// Why a file cannot be locked.
enum Refused {
    /// By this process, if it signed.
    Held(Option<u32>),
    Io(io::Error),
}

impl DirLock {
    /// Takes the lock on `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// [`OpenError::Locked`] with the holder's process id when another process has it.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(directory).map_err(OpenError::io(directory))?;
        let path = directory.join(FILE_NAME);
        match Lock::acquire(&path) {
            Ok(lock) => Ok(Self { directory: directory.to_path_buf(), _lock: lock }),
            Err(Refused::Held(holder)) => Err(OpenError::Locked { directory: directory.to_path_buf(), holder }),
            Err(Refused::Io(error)) => Err(OpenError::io(&path)(error)),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl FileLock {
    /// Locks the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// `Unavailable` with the holder and the file when another handle or process has it.
    pub(crate) fn acquire(path: &Path) -> Result<Self, Fault> {
        match Lock::acquire(path) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(Refused::Held(holder)) => {
                let reason = format!("{} is locked by {}", path.display(), crate::open::process(holder));
                Err(Fault::unavailable(reason))
            }
            Err(Refused::Io(error)) => Err(Fault::unavailable(error)),
        }
    }
}

impl Lock {
    fn acquire(path: &Path) -> Result<Self, Refused> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(Refused::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refused::Held(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(Refused::Io(error)),
        }
        sign(&mut file).map_err(Refused::Io)?;
        Ok(Self { _file: file })
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
