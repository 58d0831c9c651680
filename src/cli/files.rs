//! Files that are written completely or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

/// A file that will be written at the end. It is opened at once, so that a bad path fails before
/// the work and not after it.
#[derive(Debug)]
pub(super) struct PendingFile {
    path: PathBuf,
    target: WriteTarget,
}

#[derive(Debug)]
enum WriteTarget {
    /// A file beside the real one, which takes its place when it is whole.
    Temporary(NamedTempFile),
    /// A device or a pipe such as `/dev/stdout`, which must not be replaced.
    Special(File),
}

impl PendingFile {
    /// Opens the file that is to be written; its old content stays until then.
    ///
    /// # Errors
    /// If it could not be written.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let target = Self::open_target(path);
        let target = target.with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(Self { path: path.to_owned(), target })
    }

    fn open_target(path: &Path) -> std::io::Result<WriteTarget> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => {
                File::options().write(true).open(path).map(WriteTarget::Special)
            }
            _ => temporary_beside(path).map(WriteTarget::Temporary),
        }
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// If it cannot be written, such as on a full disk; the old content is then unchanged.
    pub(super) fn write(self, bytes: &[u8]) -> anyhow::Result<()> {
        let path = &self.path;
        let result = match self.target {
            WriteTarget::Special(mut file) => file.write_all(bytes).and_then(|()| file.flush()),
            WriteTarget::Temporary(mut file) => {
                file.write_all(bytes).and_then(|()| file.as_file().sync_data()).and_then(|()| {
                    file.persist(resolve_link(path)).map(drop).map_err(|error| error.error)
                })
            }
        };
        result.with_context(|| format!("failed to write `{}`", path.display()))
    }
}

/// Makes a folder, and makes sure that files can be written into it.
///
/// # Errors
/// If either fails.
pub(super) fn writable_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .and_then(|()| Builder::new().prefix(".qoslab-").tempfile_in(folder).map(drop))
        .with_context(|| format!("failed to write into the folder `{}`", folder.display()))
}

fn temporary_beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let real = resolve_link(path);
    let folder = match real.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = Builder::new();
    builder.prefix(".qoslab-");
    // A temporary file is private by default; a result is as readable as any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// The file that a symbolic link stands for, so that the link survives.
fn resolve_link(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, "old").unwrap();
        let pending = PendingFile::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        pending.write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_path_fails_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let error = PendingFile::open(&folder.path().join("missing/table.csv")).unwrap_err();
        assert!(error.to_string().starts_with("failed to write `"), "{error}");
        assert!(PendingFile::open(folder.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        PendingFile::open(Path::new("/dev/null")).unwrap().write(b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        PendingFile::open(&link).unwrap().write(b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
}
