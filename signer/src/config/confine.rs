//! `sandbox` and `paths` of `[token]`: by which rules the vault confines itself, and what it may use besides.

use onionkeep_common::config::Section;
use std::path::{Component, Path, PathBuf};

/// At most so many paths.
const PATHS_MAX: usize = 16;
/// Directories of which nothing may be written to: programs, libraries, settings, and what the kernel shows.
const NEVER: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/boot", "/proc", "/sys"];

/// The rules of a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Measured: its token directory, and a list of system calls.
    SoftHsm,
    /// A module that was not measured.
    Generic,
    /// A device on USB that the module, or this program, talks to by itself.
    Usb,
}

/// How the vault confines itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confine {
    /// The rules.
    pub profile: Profile,
    /// What it may use besides, for reading and writing.
    pub paths: Vec<PathBuf>,
}

/// Reads the keys; without `sandbox`, `usual` holds.
pub(super) fn read(section: &Section<'_, '_>, usual: Profile) -> Confine {
    let texts = section.texts("paths");
    if texts.len() > PATHS_MAX {
        section.report("paths", format!("paths: at most {PATHS_MAX}"));
    }
    let paths = texts.into_iter().filter_map(|text| path(section, text)).collect();
    Confine { profile: profile(section).unwrap_or(usual), paths }
}

/// The rules that a module's file name stands for.
pub(super) fn usual(module: &Path) -> Profile {
    let name = module.file_name().unwrap_or_default().to_string_lossy();
    if name.contains("softhsm2") { Profile::SoftHsm } else { Profile::Generic }
}

/// The rules by name.
fn profile(section: &Section<'_, '_>) -> Option<Profile> {
    match section.text("sandbox")? {
        "softhsm" => Some(Profile::SoftHsm),
        "generic" => Some(Profile::Generic),
        "usb" => Some(Profile::Usb),
        _ => {
            section.report("sandbox", "sandbox: wanted is \"softhsm\", \"generic\" or \"usb\"");
            None
        }
    }
}

/// One path; reported if it is too much.
fn path(section: &Section<'_, '_>, text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let plain = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let never = NEVER.iter().find(|never| path.starts_with(never));
    let why = if !path.is_absolute() || !plain {
        "wanted is a path that starts with /, without ..".to_owned()
    } else if path.components().count() < 3 {
        "too much: name a directory or file below it".to_owned()
    } else if let Some(never) = never {
        format!("nothing in {never} is ever written to; reading there is allowed already")
    } else {
        return Some(path.to_owned());
    };
    section.report("paths", format!("paths: {text}: {why}"));
    None
}

/// Reports paths that hold the ledger: the vault does not need it.
pub(super) fn spare(section: &Section<'_, '_>, paths: &[PathBuf], state_dir: &Path) {
    for path in paths.iter().filter(|path| state_dir.starts_with(path) || path.starts_with(state_dir)) {
        let why = "the vault must not reach the ledger in state_dir";
        section.report("paths", format!("paths: {}: {why}", path.display()));
    }
}
