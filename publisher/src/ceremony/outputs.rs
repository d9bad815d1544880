//! The files that `request new` makes: seen to be free before anything is done, written in an order that loses nothing, taken back if one fails.

use super::request::Wish;
use super::slot::SlotKey;
use super::store::Store;
use super::{CeremonyError, usage};
use crate::state::StateError;
use crate::state::file::{self, temporary_of};
use std::path::{Path, PathBuf};

/// Refuses places that are taken, that are one and the same, or whose folder is not there.
///
/// # Errors
/// [`CeremonyError::Usage`].
pub(super) fn check(wish: &Wish<'_>) -> Result<(), CeremonyError> {
    let output = places(wish.output)?;
    if let Some(standby) = wish.standby
        && places(standby)?.iter().any(|place| output.contains(place))
    {
        let what = format!(
            "{} and {} are one file: the request would replace the standby keys, or they it",
            standby.display(),
            wish.output.display()
        );
        return Err(usage(what, "name two files; the standby keys belong into a safe, the request does not"));
    }
    for path in [Some(wish.output), wish.standby].into_iter().flatten() {
        file::check_fresh(path)
            .map_err(StateError::from)
            .map_err(|why| usage(why.to_string(), why.advice()))?;
    }
    Ok(())
}

/// A file and the name that it has while it is written, however the way there is spelled.
fn places(path: &Path) -> Result<[PathBuf; 2], CeremonyError> {
    let advice = "name a new file in a folder that is there";
    let shown = path.display();
    let name = path.file_name().ok_or_else(|| usage(format!("{shown} is not the name of a file"), advice))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = parent.canonicalize();
    let folder = folder.map_err(|why| usage(format!("{shown} cannot be written: {why}"), advice))?;
    let place = folder.join(name);
    Ok([temporary_of(&place), place])
}

/// What was written for a request that is not made yet.
#[derive(Default)]
pub(super) struct Written<'a> {
    /// Private halves in our state.
    pub(super) keys: &'a [SlotKey],
    /// The files that the operator has named.
    pub(super) files: Vec<&'a Path>,
}

impl Written<'_> {
    /// Takes everything back after an error, and says if something of it stays.
    pub(super) fn undo(&self, store: &Store, why: CeremonyError) -> CeremonyError {
        let mut left: Vec<PathBuf> = Vec::new();
        for key in self.keys {
            if store.wipe_slot(key.period, &key.key).is_err() {
                left.push(store.slots().join(SlotKey::name(key.period, &key.key)));
            }
        }
        let stays = |path: &&&Path| file::wipe(path).is_err();
        left.extend(self.files.iter().filter(stays).map(|path| path.to_path_buf()));
        if left.is_empty() { why } else { CeremonyError::Left { why: Box::new(why), left } }
    }
}
