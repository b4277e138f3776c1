//! Names of the files of a log, and making changes of names durable.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::error::LogError;

/// The file of the segment that begins at this position.
pub(crate) fn segment_path(events: &Path, first: u64) -> PathBuf {
    events.join(format!("{first:020}.seg"))
}

/// The index file beside a segment.
pub(crate) fn index_path(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

/// First positions of all segments, in order; anything else in the directory is left alone.
pub(crate) fn segment_positions(events: &Path) -> Result<Vec<u64>, LogError> {
    let listed = || -> io::Result<Vec<u64>> {
        let mut positions = Vec::new();
        for entry in std::fs::read_dir(events)? {
            positions.extend(entry?.file_name().to_str().and_then(segment_position));
        }
        positions.sort_unstable();
        Ok(positions)
    };
    listed().map_err(LogError::io("listing", events))
}

fn segment_position(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let is_ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_ours { digits.parse().ok().filter(|position| *position > 0) } else { None }
}

/// Makes created, renamed and removed names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), LogError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(LogError::io("syncing", directory))
}

#[cfg(test)]
mod tests {
    use super::segment_position;

    #[test]
    fn only_segments_are_taken_for_segments() {
        assert_eq!(segment_position("00000000000000000042.seg"), Some(42));
        for name in
            ["42.seg", "00000000000000000042.idx", "00000000000000000000.seg", "+0000000000000000042.seg", "tail"]
        {
            assert_eq!(segment_position(name), None, "{name}");
        }
    }
}
