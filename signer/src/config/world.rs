//! Whether the files and directories that a configuration names are there and fit; only `check-config` looks.

use crate::pin::PinSource;
use onionkeep_common::config::Section;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Checks the directories of the top level.
pub(super) fn check(top: &Section<'_, '_>, state_dir: Option<&Path>, socket: Option<&Path>) {
    if let Some(path) = state_dir {
        directory(top, "state_dir", path);
        let open = path.metadata().is_ok_and(|data| data.is_dir() && data.mode() & 0o022 != 0);
        if open {
            top.report(
                "state_dir",
                format!("state_dir: {} can be written by group or others", path.display()),
            );
        }
    }
    if let Some(parent) = socket.and_then(Path::parent) {
        directory(top, "socket", parent);
    }
}

/// Checks the files of the `[token]` section.
pub(super) fn check_token(
    section: &Section<'_, '_>,
    module: Option<&Path>,
    pins: &[(&str, Option<&PinSource>)],
) {
    if let Some(path) = module.filter(|path| !path.is_file()) {
        section.report("module", format!("module: there is no file {}", path.display()));
    }
    for (key, source) in pins {
        if let Some(PinSource::File(path)) = source {
            pin_file(section, key, path);
        }
    }
}

/// Checks that what the vault may use besides is there.
pub(super) fn check_paths(section: &Section<'_, '_>, paths: &[PathBuf]) {
    for path in paths.iter().filter(|path| !path.exists()) {
        section.report("paths", format!("paths: there is no {}", path.display()));
    }
}

/// Checks that a PIN file is there and guarded. It is not opened.
fn pin_file(section: &Section<'_, '_>, key: &str, path: &Path) {
    let shown = path.display();
    match path.metadata() {
        Ok(data) if !data.is_file() => section.report(key, format!("{key}: {shown} is not a file")),
        Ok(data) if data.mode() & 0o077 != 0 => {
            section.report(key, format!("{key}: {shown} can be read by group or others; chmod 600 {shown}"));
        }
        Ok(_guarded) => {}
        Err(error) => section.report(key, format!("{key}: {shown}: {error}")),
    }
}

/// Checks that a directory is there.
fn directory(section: &Section<'_, '_>, key: &str, path: &Path) {
    if !path.is_dir() {
        section.report(key, format!("{key}: there is no directory {}", path.display()));
    }
}
