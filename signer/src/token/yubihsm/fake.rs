//! A YubiHSM 2 in memory that, unlike the library's mock, enforces capabilities and keeps a log of 62 chained entries.

use super::device::{
    AuthKey, Connect, Device, ED25519, FACTORY_KEY, FACTORY_PASSWORD, GENERATED, HMAC_SHA256, Id, Info, Kind,
    NewKey, Trouble,
};
use super::log::{Entry, Page};
use crate::pin::Pin;
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// Entries that fit into the log.
const LOG_MAX: usize = 62;

/// What a test can see and change.
pub(super) struct Inside {
    /// The serial number.
    pub(super) serial: String,
    /// Set while it is unplugged.
    pub(super) gone: bool,
    /// Objects with their secret or content; a password for authentication keys.
    pub(super) objects: BTreeMap<(Kind, Id), (Info, Vec<u8>)>,
    /// The log.
    pub(super) log: Vec<Entry>,
    /// The last digest.
    digest: [u8; 16],
    /// The last number.
    number: u16,
    /// Whether it refuses what it cannot log.
    pub(super) forced: bool,
    /// Which commands are logged.
    pub(super) logged: BTreeSet<u8>,
    /// Starts and log-ins that were not logged.
    pub(super) unlogged: (u16, u16),
    /// Counts starts: sessions of an earlier one are lost.
    starts: u32,
    /// How often a password was tried.
    pub(super) tries: usize,
    /// HMACs made.
    pub(super) macs: usize,
    /// Set if opaque objects come back altered.
    pub(super) forgets: bool,
}

/// The device.
#[derive(Clone)]
pub(super) struct Fake(pub(super) Arc<Mutex<Inside>>);

impl Fake {
    /// A device fresh from the factory.
    pub(super) fn fresh() -> Self {
        let info = Info {
            algorithm: 0x26,
            capabilities: u64::MAX,
            delegated: u64::MAX,
            origin: 2,
            label: "DEFAULT AUTHKEY CHANGE THIS ASAP".to_owned(),
        };
        let factory = ((Kind::Authentication, FACTORY_KEY), (info, FACTORY_PASSWORD.as_bytes().to_vec()));
        let mut inside = Inside {
            serial: "0012345678".to_owned(),
            gone: false,
            objects: BTreeMap::from([factory]),
            log: Vec::new(),
            digest: [0x33; 16],
            number: 0,
            forced: false,
            logged: BTreeSet::from([0x03, 0x04]),
            unlogged: (0, 0),
            starts: 0,
            tries: 0,
            macs: 0,
            forgets: false,
        };
        inside.write(0xff, 0xffff, 0xffff, 0xff);
        inside.write(0x00, 0xffff, 0, 0);
        Self(Arc::new(Mutex::new(inside)))
    }

    /// Looks and changes.
    pub(super) fn with<T>(&self, with: impl FnOnce(&mut Inside) -> T) -> T {
        with(&mut self.0.lock().unwrap())
    }

    /// Unplugs it and plugs it in again.
    pub(super) fn restart(&self) {
        self.with(|inside| {
            inside.starts += 1;
            if inside.forced && inside.log.len() >= LOG_MAX {
                inside.unlogged.0 += 1;
            } else {
                inside.write(0x00, 0xffff, 0, 0);
            }
        });
    }

    /// Fills the log.
    pub(super) fn fill(&self) {
        self.with(|inside| {
            while inside.log.len() < LOG_MAX {
                inside.write(0x6a, 9, 9, 0xea);
            }
        });
    }
}

impl Inside {
    /// Adds an entry; the oldest makes room.
    fn write(&mut self, command: u8, key: Id, target: Id, result: u8) {
        self.number = self.number.wrapping_add(1);
        let mut entry = Entry {
            number: self.number,
            command,
            length: 1,
            key,
            target,
            second: 0xffff,
            result,
            tick: 7,
            digest: self.digest,
        };
        if command != 0xff {
            entry.digest = entry.digest_after(&self.digest);
        }
        self.digest = entry.digest;
        if self.log.len() >= LOG_MAX {
            self.log.remove(0);
        }
        self.log.push(entry);
    }

    /// An object that is made.
    fn make(&mut self, at: (Kind, Id), info: Info, content: Vec<u8>) -> Result<(), Trouble> {
        match self.objects.insert(at, (info, content)) {
            None => Ok(()),
            Some(_old) => Err(Trouble::Other("object already exists".to_owned())),
        }
    }

    /// The content of an object.
    fn content(&self, at: (Kind, Id)) -> Result<Vec<u8>, Trouble> {
        Ok(self.objects.get(&at).ok_or(Trouble::Missing)?.1.clone())
    }
}

/// What a password stands for here.
fn derived(password: &[u8]) -> AuthKey {
    AuthKey(Zeroizing::new(Sha256::digest(password).into()))
}

impl Connect for Fake {
    fn derive(&self, password: &Pin) -> AuthKey {
        password.with(|text| derived(text.expose_secret().as_bytes()))
    }

    fn open(&self, key: Id, secret: &AuthKey) -> Result<Box<dyn Device>, Trouble> {
        let starts = self.with(|inside| {
            if inside.gone {
                return Err(Trouble::Gone("no device".to_owned()));
            }
            inside.tries += 1;
            let wanted = inside.content((Kind::Authentication, key)).map_err(|_missing| Trouble::Password)?;
            if derived(&wanted).0 != secret.0 {
                return Err(Trouble::Password);
            }
            if inside.forced && inside.log.len() >= LOG_MAX {
                inside.unlogged.1 += 1;
            } else {
                inside.write(0x03, 0xffff, key, 0x83);
            }
            Ok(inside.starts)
        })?;
        Ok(Box::new(Session { fake: self.clone(), key, starts }))
    }
}

/// A session.
struct Session {
    /// The device.
    fake: Fake,
    /// Its authentication key.
    key: Id,
    /// The start in which it was opened.
    starts: u32,
}

impl Session {
    /// Runs a command if the session lives, the log has room and the key may.
    fn run<T>(
        &self,
        (command, right, target): (u8, Option<u32>, Id),
        act: impl FnOnce(&mut Inside, &Info) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.fake.with(|inside| {
            if inside.gone || inside.starts != self.starts {
                return Err(Trouble::Gone("session lost".to_owned()));
            }
            let logged = inside.logged.contains(&command);
            let frees = [0x4d, 0x67].contains(&command);
            if inside.forced && logged && !frees && inside.log.len() >= LOG_MAX {
                return Err(Trouble::LogFull);
            }
            let own = inside.objects.get(&(Kind::Authentication, self.key)).map(|(info, _)| info.clone());
            let own = own.ok_or_else(|| Trouble::Gone("key deleted".to_owned()))?;
            let result = if right.is_none_or(|bit| own.capabilities & (1 << bit) != 0) {
                act(inside, &own)
            } else {
                Err(Trouble::Other(format!("insufficient permissions for command {command:#04x}")))
            };
            if logged {
                inside.write(command, self.key, target, if result.is_ok() { command | 0x80 } else { 0x09 });
            }
            result
        })
    }

    /// Makes an object whose capabilities the key may give.
    fn make(
        &self,
        (command, right): (u8, u32),
        at: (Kind, Id),
        info: Info,
        content: Vec<u8>,
    ) -> Result<(), Trouble> {
        self.run((command, Some(right), at.1), |inside, own| {
            if info.capabilities & !own.delegated != 0 {
                return Err(Trouble::Other("insufficient permissions".to_owned()));
            }
            inside.make(at, info, content)
        })
    }
}

/// An object generated on the device.
fn generated(algorithm: u8, capabilities: u64, label: &str) -> Info {
    Info { algorithm, capabilities, delegated: 0, origin: GENERATED, label: label.to_owned() }
}

impl Device for Session {
    fn serial(&mut self) -> Result<String, Trouble> {
        self.run((0x06, None, 0xffff), |inside, _own| Ok(inside.serial.clone()))
    }

    fn list(&mut self, kind: Kind) -> Result<Vec<Id>, Trouble> {
        self.run((0x48, None, 0xffff), |inside, _own| {
            Ok(inside.objects.keys().filter(|at| at.0 == kind).map(|at| at.1).collect())
        })
    }

    fn info(&mut self, kind: Kind, id: Id) -> Result<Info, Trouble> {
        self.run((0x4e, None, id), |inside, _own| {
            Ok(inside.objects.get(&(kind, id)).ok_or(Trouble::Missing)?.0.clone())
        })
    }

    fn sign_hmac(&mut self, key: Id, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        self.run((0x53, Some(22), key), |inside, _own| {
            let secret = inside.content((Kind::Hmac, key))?;
            inside.macs += 1;
            let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(message);
            Ok(Zeroizing::new(mac.finalize().into_bytes().to_vec()))
        })
    }

    fn sign_ed25519(&mut self, key: Id, message: &[u8]) -> Result<[u8; 64], Trouble> {
        self.run((0x6a, Some(8), key), |inside, _own| {
            let seed = inside.content((Kind::Asymmetric, key))?.try_into().unwrap();
            Ok(SigningKey::from_bytes(&seed).sign(message).to_bytes())
        })
    }

    fn public_key(&mut self, key: Id) -> Result<[u8; 32], Trouble> {
        self.run((0x54, None, key), |inside, _own| {
            let seed = inside.content((Kind::Asymmetric, key))?.try_into().unwrap();
            Ok(SigningKey::from_bytes(&seed).verifying_key().to_bytes())
        })
    }

    fn get_opaque(&mut self, id: Id) -> Result<Vec<u8>, Trouble> {
        self.run((0x43, Some(0), id), |inside, _own| {
            let mut content = inside.content((Kind::Opaque, id))?;
            if inside.forgets {
                content.pop();
            }
            Ok(content)
        })
    }

    fn put_opaque(&mut self, id: Id, label: &str, octets: &[u8]) -> Result<(), Trouble> {
        let info =
            Info { algorithm: 0x1e, capabilities: 0, delegated: 0, origin: 2, label: label.to_owned() };
        self.make((0x42, 1), (Kind::Opaque, id), info, octets.to_vec())
    }

    fn generate_hmac(&mut self, id: Id, label: &str, capabilities: u64) -> Result<(), Trouble> {
        let info = generated(HMAC_SHA256, capabilities, label);
        self.make((0x5a, 21), (Kind::Hmac, id), info, vec![0x5a; 32])
    }

    fn generate_ed25519(&mut self, id: Id, label: &str, capabilities: u64) -> Result<(), Trouble> {
        let info = generated(ED25519, capabilities, label);
        self.make((0x46, 4), (Kind::Asymmetric, id), info, vec![0xa5; 32])
    }

    fn delete(&mut self, kind: Kind, id: Id) -> Result<(), Trouble> {
        let right = match kind {
            Kind::Opaque => 39,
            Kind::Authentication => 40,
            Kind::Asymmetric => 41,
            Kind::Wrap => 42,
            Kind::Hmac => 43,
        };
        self.run((0x58, Some(right), id), |inside, _own| {
            inside.objects.remove(&(kind, id)).map(drop).ok_or(Trouble::Missing)
        })
    }

    fn put_key(&mut self, key: &NewKey<'_>) -> Result<(), Trouble> {
        let (capabilities, delegated, label) = (key.capabilities, key.delegated, key.label.to_owned());
        let info = Info { algorithm: 0x26, capabilities, delegated, origin: 2, label };
        let password = key.password.with(|text| text.expose_secret().as_bytes().to_vec());
        self.make((0x44, 2), (Kind::Authentication, key.id), info, password)
    }

    fn is_forced(&mut self) -> Result<bool, Trouble> {
        self.run((0x50, Some(18), 0xffff), |inside, _own| Ok(inside.forced))
    }

    fn force_for_ever(&mut self) -> Result<(), Trouble> {
        self.run((0x4f, Some(17), 0xffff), |inside, _own| {
            inside.forced = true;
            Ok(())
        })
    }

    fn log_for_ever(&mut self, command: u8) -> Result<(), Trouble> {
        self.run((0x4f, Some(17), 0xffff), |inside, _own| {
            inside.logged.insert(command);
            Ok(())
        })
    }

    fn log(&mut self) -> Result<Page, Trouble> {
        self.run((0x4d, Some(24), 0xffff), |inside, _own| {
            let (unlogged_boots, unlogged_logins) = inside.unlogged;
            Ok(Page { unlogged_boots, unlogged_logins, entries: inside.log.clone() })
        })
    }

    fn free_log(&mut self, number: u16) -> Result<(), Trouble> {
        self.run((0x67, Some(24), 0xffff), |inside, _own| {
            let end = inside.log.iter().position(|entry| entry.number == number);
            inside.log.drain(..end.map_or(0, |end| end + 1)).for_each(drop);
            Ok(())
        })
    }
}
