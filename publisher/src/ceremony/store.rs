//! The folder of one frontend's ceremonies: what lies in it, and who may change it at a time.

use super::slot::{SlotKey, seed};
use super::{CeremonyError, usage};
use crate::state::file::{self, damaged, io_error};
use crate::state::{StateError, make_folder};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::audit_key::{AuditKey, AuditSignature};
use onionkeep_common::paper::{Bundle, Kind, Previous, Read, Request, RequestKey};
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodNumber, Signature};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// First line of the request key's file.
const KEY_HEAD: &str = "onionkeep-publisher request-key 1";
/// First line of the file that keeps the end of a chain whose bundle is retired.
const CHAIN_HEAD: &str = "onionkeep-publisher chain 1";
/// First line of the audit key's file.
const AUDITOR_HEAD: &str = "onionkeep-publisher auditor 1";
/// The longest file that is read, in octets; one more shows that it is longer.
const MOST: u64 = (16 << 20) + 1;

/// The key that signs requests.
pub struct RequestSecret(SigningKey);

impl RequestSecret {
    /// Its public half.
    #[must_use]
    pub fn public(&self) -> RequestKey {
        RequestKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a request's text.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Signature {
        Signature(self.0.sign(text).to_bytes())
    }
}

/// The last bundle of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainEnd {
    /// Its number.
    pub sequence: u32,
    /// How the next request names it. After an emergency bundle that is the main bundle of the same request, which the token's
    /// side knows; a new machine does not have it and begins anew.
    pub previous: Previous,
}

/// Which of the two bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one that was imported last.
    Current,
    /// The one before.
    Old,
}

/// The folder of one frontend.
#[derive(Clone, Debug)]
pub struct Store {
    /// The folder.
    folder: PathBuf,
    /// The frontend.
    pub onion: OnionAddress,
}

/// Tells whether a file is still the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64, i64, i64, u64);

/// Keeps other commands of the ceremony out.
pub struct Lock(File);

impl Drop for Lock {
    /// Frees it, also if a child that was just started has the file open yet.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

impl Store {
    /// The folder of a frontend; nothing is made yet.
    #[must_use]
    pub fn at(state_dir: &Path, onion: OnionAddress) -> Self {
        Self { folder: state_dir.join("ceremony").join(onion.bare().to_string()), onion }
    }

    /// Makes the folder and locks it.
    ///
    /// # Errors
    /// [`CeremonyError`] if another command works in it, it belongs to another user, or the system refuses.
    pub fn lock(&self) -> Result<Lock, CeremonyError> {
        let (parent, root) = (self.folder.parent(), self.folder.parent().and_then(Path::parent));
        for folder in [root, parent, Some(&*self.folder), Some(&*self.slots())].into_iter().flatten() {
            make_folder(folder)?;
        }
        let owner = std::fs::metadata(&self.folder).map_err(io_error("look at", &self.folder))?.uid();
        let root = root.unwrap_or(&self.folder);
        let wanted = std::fs::metadata(root).map_err(io_error("look at", root))?.uid();
        let ours = rustix::process::geteuid().as_raw();
        if [owner, wanted].iter().any(|uid| *uid != ours) {
            let what = format!("{} belongs to user {wanted}, this is user {ours}", root.display());
            return Err(usage(what, "run this command as the user that the publisher runs as"));
        }
        let path = self.folder.join("lock");
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(&path).map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                Err(usage("another command of the ceremony is at work", "wait until it has ended"))
            }
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source).into()),
        }
    }

    /// Where the keys of slots are.
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.folder.join("slots")
    }

    /// A file in the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where a bundle is.
    #[must_use]
    pub fn bundle_path(&self, place: Place) -> PathBuf {
        self.folder.join(match place {
            Place::Current => "bundle",
            Place::Old => "bundle.old",
        })
    }

    /// The key that signs requests; made if there is none and `make`.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be read or made.
    pub fn request_key(&self, make: bool) -> Result<Option<RequestSecret>, StateError> {
        let path = self.file("request-key");
        if let Some(text) = file::read(&path)? {
            let found = text.strip_prefix(KEY_HEAD).and_then(|rest| rest.strip_prefix("\nseed "));
            let found = found.and_then(|rest| seed(rest.trim_end_matches('\n')));
            let found = found.ok_or_else(|| damaged(&path, "it is not a request key of this version"))?;
            return Ok(Some(RequestSecret(SigningKey::from_bytes(&found))));
        }
        if !make {
            return Ok(None);
        }
        let mut fresh = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *fresh).map_err(StateError::Random)?;
        let hex = Zeroizing::new(HEXLOWER.encode(&*fresh));
        file::write(&path, &Zeroizing::new(format!("{KEY_HEAD}\nseed {}\n", *hex)))?;
        Ok(Some(RequestSecret(SigningKey::from_bytes(&fresh))))
    }

    /// The keys whose private halves are here.
    ///
    /// # Errors
    /// [`StateError`] if the folder cannot be read.
    pub fn slot_keys(&self) -> Result<Vec<(PeriodNumber, DescSigningKey)>, StateError> {
        let folder = self.slots();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("read", &folder)(error).into()),
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut keys: Vec<_> = names.filter_map(|name| SlotKey::of_name(name.to_str()?)).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// Opens the private half of one slot.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be read or is damaged.
    pub fn open_slot(
        &self,
        period: PeriodNumber,
        key: &DescSigningKey,
    ) -> Result<Option<SlotKey>, StateError> {
        SlotKey::read(&self.slots(), period, key)
    }

    /// Wipes the private half of one slot.
    ///
    /// # Errors
    /// [`StateError`] if the system refuses.
    pub fn wipe_slot(&self, period: PeriodNumber, key: &DescSigningKey) -> Result<(), StateError> {
        Ok(file::wipe(&self.slots().join(SlotKey::name(period, key)))?)
    }

    /// Wipes what interrupted writes of slots have left, private halves that no request names. The caller holds the lock.
    ///
    /// # Errors
    /// [`StateError`] if the system refuses.
    pub fn wipe_leftovers(&self) -> Result<(), StateError> {
        let folder = self.slots();
        let entries = std::fs::read_dir(&folder).map_err(io_error("read", &folder))?;
        for name in entries.flatten().map(|entry| entry.file_name()) {
            if name.to_str().is_some_and(|name| name.ends_with(file::TEMPORARY)) {
                file::wipe(&folder.join(name))?;
            }
        }
        Ok(())
    }

    /// The open request.
    ///
    /// # Errors
    /// [`CeremonyError::RequestDamaged`] if it is not what was written, [`CeremonyError::State`] if it cannot be read.
    pub fn request(&self) -> Result<Option<Read<Request>>, CeremonyError> {
        let path = self.file("request");
        let Some(octets) = file::read_octets(&path, MOST)? else { return Ok(None) };
        let read = Request::parse(&octets);
        Ok(Some(read.map_err(|_why| CeremonyError::RequestDamaged { path })?))
    }

    /// A bundle that was imported, checked again.
    ///
    /// # Errors
    /// [`CeremonyError::Damaged`] if it is no longer what was imported.
    pub fn bundle(&self, place: Place) -> Result<Option<Read<Bundle>>, CeremonyError> {
        let path = self.bundle_path(place);
        let Some(octets) = file::read_octets(&path, MOST)? else { return Ok(None) };
        let fault = |why: String| CeremonyError::Damaged { path: path.clone(), why };
        let (read, signed) = Bundle::parse(&octets).map_err(|why| fault(why.to_string()))?;
        if read.content.onion != self.onion {
            return Err(fault("it is for another onion address".to_owned()));
        }
        let auditor =
            self.auditor()?.ok_or_else(|| fault("there is no audit key to check it with".to_owned()))?;
        let checked = auditor.verify(&signed.text, &AuditSignature(signed.signature));
        checked.map_err(|why| fault(why.to_string()))?;
        Ok(Some(read))
    }

    /// Which file a bundle is, to notice another one.
    #[must_use]
    pub fn stamp(&self, place: Place) -> Option<Stamp> {
        let meta = std::fs::metadata(self.bundle_path(place)).ok()?;
        Some(Stamp(meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
    }

    /// The audit key that the first import has enrolled.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be read.
    pub fn auditor(&self) -> Result<Option<AuditKey>, StateError> {
        let path = self.file("auditor");
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let key = text.strip_prefix(AUDITOR_HEAD).and_then(|rest| rest.strip_prefix("\nkey "));
        let key = key.and_then(|key| key.trim_end_matches('\n').parse().ok());
        Ok(Some(key.ok_or_else(|| damaged(&path, "it is not an audit key"))?))
    }

    /// Keeps an audit key.
    ///
    /// # Errors
    /// [`StateError`] if the system refuses.
    pub fn enrol_auditor(&self, key: &AuditKey) -> Result<(), StateError> {
        Ok(file::write(&self.file("auditor"), &format!("{AUDITOR_HEAD}\nkey {key}\n"))?)
    }

    /// Where the chain of bundles ends that an operator has retired.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be read.
    pub fn retired_chain(&self) -> Result<Option<ChainEnd>, StateError> {
        let path = self.file("chain");
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let end = text.strip_prefix(CHAIN_HEAD).and_then(|rest| {
            let (sequence, digest) = rest.trim().split_once(' ')?;
            Some(ChainEnd { sequence: sequence.parse().ok()?, previous: digest.parse().ok()? })
        });
        Ok(Some(end.ok_or_else(|| damaged(&path, "it is not the end of a chain"))?))
    }

    /// Keeps the end of the chain when its bundle goes.
    ///
    /// # Errors
    /// [`StateError`] if the system refuses.
    pub fn keep_chain(&self, end: ChainEnd) -> Result<(), StateError> {
        let text = format!("{CHAIN_HEAD}\n{} {}\n", end.sequence, end.previous);
        Ok(file::write(&self.file("chain"), &text)?)
    }

    /// The bundle that the next request follows.
    ///
    /// # Errors
    /// [`CeremonyError`] if what is there cannot be read.
    pub fn chain_end(&self) -> Result<Option<ChainEnd>, CeremonyError> {
        let Some(current) = self.bundle(Place::Current)? else { return Ok(self.retired_chain()?) };
        let request = current.content.request;
        let main = match current.content.kind {
            Kind::Main => Some(current.digest),
            Kind::Emergency => {
                let old = self.bundle(Place::Old).unwrap_or_default();
                old.filter(|old| old.content.request == request).map(|old| old.digest)
            }
        };
        let previous = main.map_or(Previous::First, Previous::Bundle);
        Ok(Some(ChainEnd { sequence: current.content.sequence, previous }))
    }
}
