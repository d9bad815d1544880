//! How a key comes into the vault: drawn or brought, sealed, opened once, stored; the root key is made before the first one.

use super::{Place, Vault, VaultError, files, random};
use crate::ceremony::is_marked;
use crate::log::{Level, line};
use crate::seal::{Head, SealKind, SealedKey};
use crate::token::{Token, TokenError};
use onionkeep_common::paper::Purpose;
use onionkeep_common::{IdentityKey, OnionAddress};
use onionkeep_core::ExpandedKey;
use std::io;
use zeroize::Zeroizing;

/// So many keys are tried for an address with a mark of 15 bits: that none fits is less likely than 1 in 10^13.
const TRIES: u32 = 1 << 20;

impl<T: Token> Vault<T> {
    /// Makes a new identity, seals and stores it.
    ///
    /// # Errors
    /// [`VaultError`] if the token cannot seal or store.
    pub fn generate(&mut self) -> Result<OnionAddress, VaultError> {
        self.generate_for(Purpose::Real)
    }

    /// Makes a new identity: for a rehearsal one with its mark, otherwise one without.
    ///
    /// # Errors
    /// As [`Vault::generate`].
    pub fn generate_for(&mut self, purpose: Purpose) -> Result<OnionAddress, VaultError> {
        let odd = |what| VaultError::Random(io::Error::other(what));
        for _try in 0..TRIES {
            let seed: Zeroizing<[u8; 32]> = random::octets()?;
            let key = ExpandedKey::from_seed(&seed).map_err(|_never| odd("seed"))?;
            if is_marked(&OnionAddress::new(*key.public())) == (purpose == Purpose::Rehearsal) {
                return self.keep(&key);
            }
        }
        Err(odd("no address of the wanted kind was found"))
    }

    /// Seals and stores a key; makes the root key first if the token has none.
    ///
    /// # Errors
    /// [`VaultError::Known`] if it is there already; [`VaultError`] if the token cannot seal or store.
    pub fn keep(&mut self, key: &ExpandedKey) -> Result<OnionAddress, VaultError> {
        let onion = OnionAddress::new(*key.public());
        if self.keys.contains_key(onion.identity()) {
            return Err(VaultError::Known(onion));
        }
        self.ensure_root()?;
        let head = self.new_head(*onion.identity())?;
        let kek = self.kek(&head)?;
        let sealed = SealedKey::seal(key, &kek, head, self.token.name())
            .map_err(|why| VaultError::Seal { onion, why })?;
        self.open_seal(&sealed)?;
        let place = self.store(onion, &sealed)?;
        self.add(sealed, place);
        Ok(onion)
    }

    /// Checks the root key, or makes it on a token that has neither root nor keys sealed by it.
    fn ensure_root(&mut self) -> Result<(), VaultError> {
        let kind = self.seal;
        let used = self.keys.values().flatten().any(|stored| stored.sealed.kind() == kind);
        match self.token.check_seal_key(kind) {
            Err(TokenError::NoRoot) if !used && self.unreadable.is_empty() => {
                Ok(self.token.create_seal_key(kind)?)
            }
            // Sealed keys without their root: a second root would hide that they are lost.
            result => Ok(result?),
        }
    }

    /// Stores a sealed key on the token, or in a file if the token has no place for it.
    fn store(&mut self, onion: OnionAddress, sealed: &SealedKey) -> Result<Place, VaultError> {
        let octets = sealed.to_octets();
        match self.token.store(&onion, &octets) {
            Ok(()) => Ok(Place::Token),
            Err(TokenError::NoDataObjects(why)) => {
                let path = files::write(&self.state_dir, &onion, &octets)?;
                let shown = path.display();
                line(Level::Warn, "sealed-key-in-file", &[("file", &shown), ("why", &why)]);
                Ok(Place::File(path))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The head of a new seal.
    fn new_head(&mut self, onion: IdentityKey) -> Result<Head, VaultError> {
        let (kind, salt) = (self.seal, *random::octets()?);
        let material = match kind {
            SealKind::HmacSha256 => Vec::new(),
            SealKind::RsaOaep | SealKind::EcdhP256 => self.token.fresh_material(kind, &random::octets()?)?,
        };
        Ok(Head { kind, onion, salt, material })
    }
}
