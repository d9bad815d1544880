//! One token on disk: its PINs with their counters, and its objects. The only place with their files.
//!
//! `slots/N/token` has what the token knows about itself, `slots/N/objects/ID` one object each. Everything is written
//! durably, a PIN's counter before the PIN is looked at: cutting the power does not give a try back.

use crate::Answer;
use crate::home::{Home, failed, write_durably};
use crate::script::Objects;
use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_SLOT_ID, CKA_CLASS, CKA_EXTRACTABLE, CKA_PRIVATE, CKA_SENSITIVE, CKA_VALUE,
    CKO_DATA, CKR_FUNCTION_FAILED, CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE, CKR_PIN_LOCKED, CKR_SLOT_ID_INVALID,
    CKR_USER_PIN_NOT_INITIALIZED,
};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Wrong PINs in a row that lock it.
pub(crate) const TRIES: u32 = 3;
/// Octets of a PIN, at least and at most.
pub(crate) const PIN_LEN: (usize, usize) = (4, 32);

/// Whose PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The security officer's.
    Officer,
    /// The user's.
    User,
}

/// What the token knows about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Token {
    /// Its serial number.
    pub(crate) serial: String,
    /// Its label.
    pub(crate) label: String,
    /// Whether it was initialised.
    pub(crate) initialised: bool,
    /// The officer's PIN.
    officer: Pin,
    /// The user's PIN.
    user: Pin,
}

/// A PIN as it is stored.
#[derive(Clone, Debug, Default)]
struct Pin {
    /// Salt and hash; empty if there is none.
    hash: String,
    /// Tries left.
    left: u32,
}

impl Pin {
    /// A new PIN.
    fn new(pin: &[u8]) -> Answer<Self> {
        if !(PIN_LEN.0..=PIN_LEN.1).contains(&pin.len()) {
            return Err(CKR_PIN_LEN_RANGE);
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_no_random| CKR_FUNCTION_FAILED)?;
        Ok(Self { hash: Self::hash(&HEXLOWER.encode(&salt), pin), left: TRIES })
    }

    /// Salt and hash.
    fn hash(salt: &str, pin: &[u8]) -> String {
        let hash = Sha256::new().chain_update(salt).chain_update(pin).finalize();
        format!("{salt}:{}", HEXLOWER.encode(&hash))
    }

    /// Whether this is it.
    fn is(&self, pin: &[u8]) -> bool {
        self.hash.split_once(':').is_some_and(|(salt, _hash)| Self::hash(salt, pin) == self.hash)
    }
}

impl Token {
    /// The PIN of one of the two.
    const fn pin(&self, who: Who) -> &Pin {
        match who {
            Who::Officer => &self.officer,
            Who::User => &self.user,
        }
    }

    /// The same, to be changed.
    const fn pin_mut(&mut self, who: Who) -> &mut Pin {
        match who {
            Who::Officer => &mut self.officer,
            Who::User => &mut self.user,
        }
    }

    /// Tries left; `None` without a PIN.
    pub(crate) fn left(&self, who: Who) -> Option<u32> {
        let pin = self.pin(who);
        (!pin.hash.is_empty()).then_some(pin.left)
    }

    /// As a text of `key value` lines.
    fn text(&self) -> String {
        format!(
            "serial {}\nlabel {}\ninitialised {}\nso-pin {}\nso-left {}\nuser-pin {}\nuser-left {}\n",
            self.serial,
            self.label,
            self.initialised,
            self.officer.hash,
            self.officer.left,
            self.user.hash,
            self.user.left
        )
    }

    /// From such a text.
    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            line.unwrap_or_default().to_owned()
        };
        let left = |key| value(key).parse().unwrap_or_default();
        Self {
            serial: value("serial"),
            label: value("label"),
            initialised: value("initialised") == "true",
            officer: Pin { hash: value("so-pin"), left: left("so-left") },
            user: Pin { hash: value("user-pin"), left: left("user-left") },
        }
    }
}

/// An object: its attributes as octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object(pub(crate) BTreeMap<CK_ATTRIBUTE_TYPE, Vec<u8>>);

impl Object {
    /// Whether an attribute is true.
    pub(crate) fn is(&self, attribute: CK_ATTRIBUTE_TYPE) -> bool {
        self.0.get(&attribute).is_some_and(|value| value == &[1])
    }

    /// Whether it has every attribute of a template.
    pub(crate) fn fits(&self, template: &Self) -> bool {
        template.0.iter().all(|(kind, value)| self.0.get(kind) == Some(value))
    }

    /// Whether it is one of those that a lie is about.
    pub(crate) fn is_among(&self, objects: Objects) -> bool {
        let data = self.0.get(&CKA_CLASS).is_some_and(|class| *class == CKO_DATA.to_ne_bytes());
        match objects {
            Objects::All => true,
            Objects::Data => data,
            Objects::Keys => !data,
        }
    }

    /// Whether only a logged-in user sees it.
    pub(crate) fn is_private(&self) -> bool {
        self.is(CKA_PRIVATE)
    }

    /// Whether an attribute must not be shown.
    pub(crate) fn hides(&self, attribute: CK_ATTRIBUTE_TYPE) -> bool {
        let key = self.0.contains_key(&CKA_SENSITIVE);
        attribute == CKA_VALUE && key && (self.is(CKA_SENSITIVE) || !self.is(CKA_EXTRACTABLE))
    }

    /// As a text of `TYPE VALUE` lines in hex.
    fn text(&self) -> String {
        self.0.iter().map(|(kind, value)| format!("{kind:x} {}\n", HEXLOWER.encode(value))).collect()
    }

    /// From such a text.
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (kind, value) = line.split_once(' ')?;
            Some((u64::from_str_radix(kind, 16).ok()?, HEXLOWER.decode(value.as_bytes()).ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }
}

/// A slot and the token in it.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Where the lock is.
    home: Home,
    /// The token's directory.
    dir: PathBuf,
}

/// The numbers of all slots.
pub(crate) fn slots(home: &Home) -> Answer<Vec<CK_SLOT_ID>> {
    let entries = std::fs::read_dir(home.join("slots")).map_err(failed)?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let mut found: Vec<CK_SLOT_ID> = entries.filter_map(name).collect();
    found.sort_unstable();
    Ok(found)
}

impl Slot {
    /// The slot with this number.
    pub(crate) fn new(home: &Home, slot: CK_SLOT_ID) -> Answer<Self> {
        let dir = home.join("slots").join(slot.to_string());
        if dir.is_dir() { Ok(Self { home: home.clone(), dir }) } else { Err(CKR_SLOT_ID_INVALID) }
    }

    /// What the token knows about itself.
    pub(crate) fn token(&self) -> Answer<Token> {
        Ok(Token::parse(&std::fs::read_to_string(self.dir.join("token")).map_err(failed)?))
    }

    /// Writes it.
    fn put(&self, token: &Token) -> Answer<()> {
        write_durably(&self.dir.join("token"), token.text().as_bytes()).map_err(failed)
    }

    /// Uses up one try of a PIN, and gives all of them back if it is right.
    pub(crate) fn try_pin(&self, who: Who, pin: &[u8]) -> Answer<()> {
        let _locked = self.home.lock()?;
        self.try_pin_locked(who, pin)
    }

    /// [`Slot::try_pin`] while the lock is held.
    fn try_pin_locked(&self, who: Who, pin: &[u8]) -> Answer<()> {
        let mut token = self.token()?;
        match token.left(who) {
            None => return Err(CKR_USER_PIN_NOT_INITIALIZED),
            Some(0) => return Err(CKR_PIN_LOCKED),
            Some(left) => token.pin_mut(who).left = left - 1,
        }
        self.put(&token)?;
        if !token.pin(who).is(pin) {
            return Err(CKR_PIN_INCORRECT);
        }
        token.pin_mut(who).left = TRIES;
        self.put(&token)
    }

    /// Sets a PIN and gives it all its tries.
    pub(crate) fn set_pin(&self, who: Who, pin: &[u8]) -> Answer<()> {
        let _locked = self.home.lock()?;
        let mut token = self.token()?;
        *token.pin_mut(who) = Pin::new(pin)?;
        self.put(&token)
    }

    /// Destroys everything but the serial number, and sets label and officer's PIN.
    pub(crate) fn initialise(&self, label: &str, officer: &[u8]) -> Answer<()> {
        let _locked = self.home.lock()?;
        let token = self.token()?;
        if token.initialised {
            self.try_pin_locked(Who::Officer, officer)?;
        }
        for id in self.ids()? {
            std::fs::remove_file(self.object_path(id)).map_err(failed)?;
        }
        let officer = Pin::new(officer)?;
        let label = label.to_owned();
        self.put(&Token { serial: token.serial, label, initialised: true, officer, user: Pin::default() })
    }

    /// The file of an object.
    fn object_path(&self, id: u64) -> PathBuf {
        self.dir.join("objects").join(id.to_string())
    }

    /// The numbers of all objects, in the order in which they were made.
    pub(crate) fn ids(&self) -> Answer<Vec<u64>> {
        let Ok(entries) = std::fs::read_dir(self.dir.join("objects")) else { return Ok(Vec::new()) };
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let mut found: Vec<u64> = entries.filter_map(name).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// One object, if it is there.
    pub(crate) fn object(&self, id: u64) -> Option<Object> {
        std::fs::read_to_string(self.object_path(id)).ok().map(|text| Object::parse(&text))
    }

    /// Stores a new object and returns its number.
    pub(crate) fn add(&self, object: &Object) -> Answer<u64> {
        let _locked = self.home.lock()?;
        std::fs::create_dir_all(self.dir.join("objects")).map_err(failed)?;
        let id = self.ids()?.last().map_or(1, |last| last + 1);
        write_durably(&self.object_path(id), object.text().as_bytes()).map_err(failed)?;
        Ok(id)
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, id: u64) -> Answer<()> {
        let _locked = self.home.lock()?;
        std::fs::remove_file(self.object_path(id)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot with an initialised token.
    fn slot(dir: &tempfile::TempDir) -> Slot {
        let home = Home::at(dir.path());
        std::fs::create_dir_all(home.join("slots/0")).unwrap();
        std::fs::write(home.join("slots/0/token"), "serial 42\n").unwrap();
        let slot = Slot::new(&home, 0).unwrap();
        slot.initialise("a label", b"87654321").unwrap();
        slot
    }

    #[test]
    fn a_pin_locks_after_its_tries_for_every_process_and_the_right_one_gives_them_back() {
        let dir = tempfile::tempdir().unwrap();
        let slot = slot(&dir);
        assert_eq!(slot.try_pin(Who::User, b"1234"), Err(CKR_USER_PIN_NOT_INITIALIZED));
        slot.set_pin(Who::User, b"1234").unwrap();
        for left in [2, 1] {
            assert_eq!(slot.try_pin(Who::User, b"0000"), Err(CKR_PIN_INCORRECT));
            assert_eq!(slot.token().unwrap().left(Who::User), Some(left));
        }
        slot.try_pin(Who::User, b"1234").unwrap();
        assert_eq!(slot.token().unwrap().left(Who::User), Some(TRIES));
        for _ in 0..TRIES {
            assert_eq!(slot.try_pin(Who::User, b"0000"), Err(CKR_PIN_INCORRECT));
        }
        assert_eq!(slot.try_pin(Who::User, b"1234"), Err(CKR_PIN_LOCKED));
        slot.set_pin(Who::User, b"4321").unwrap();
        slot.try_pin(Who::User, b"4321").unwrap();
    }

    #[test]
    fn initialising_again_needs_the_officer_and_keeps_only_the_serial() {
        let dir = tempfile::tempdir().unwrap();
        let slot = slot(&dir);
        slot.add(&Object([(CKA_VALUE, vec![1, 2])].into())).unwrap();
        assert_eq!(slot.initialise("other", b"11111111"), Err(CKR_PIN_INCORRECT));
        assert_eq!(slot.ids().unwrap().len(), 1);
        slot.initialise("other", b"87654321").unwrap();
        let token = slot.token().unwrap();
        assert_eq!(
            (token.serial.as_str(), token.label.as_str(), slot.ids().unwrap().len()),
            ("42", "other", 0)
        );
    }

    #[test]
    fn objects_come_back_as_they_were_stored() {
        let dir = tempfile::tempdir().unwrap();
        let slot = slot(&dir);
        let object = Object([(CKA_VALUE, vec![0, 255]), (CKA_PRIVATE, vec![1])].into());
        let id = slot.add(&object).unwrap();
        assert_eq!(slot.object(id), Some(object));
        slot.delete(id).unwrap();
        assert_eq!(slot.object(id), None);
    }
}
