//! Client authorization: from a client key to the descriptor cookie and back. The only place where a client key is used.

use super::crypt::COOKIE_LEN;
use super::keys::PeriodKeys;
use aes::Aes256;
use core::fmt;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use data_encoding::BASE32_NOPAD;
use onionkeep_common::Subcredential;
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};
use std::collections::BTreeSet;
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

/// Why a text is not a client key. The text itself is never part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientKeyError {
    /// Not `[ADDRESS:]descriptor:x25519:KEY`.
    #[error("a client key is written as ADDRESS:descriptor:x25519:KEY or descriptor:x25519:KEY")]
    Form,
    /// The key is not base32 of 32 octets.
    #[error("the key of a client is 52 characters of base32")]
    Base32,
    /// Everybody can compute what is agreed upon with this key.
    #[error("this is one of the few keys that keep nothing secret")]
    Weak,
}

/// The number of `auth-client` lines is a multiple of this.
///
/// Spec: C tor, `HS_DESC_AUTH_CLIENT_MULTIPLE`.
pub(super) const CLIENT_LINES: usize = 16;
/// Octets of one such line: id, iv, cookie.
pub(super) const CLIENT_LINE_LEN: usize = 40;

/// One `auth-client` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AuthClient {
    /// Tells a client which line is its own.
    pub(super) id: [u8; 8],
    /// Start of the key stream.
    pub(super) iv: [u8; 16],
    /// The encrypted descriptor cookie.
    pub(super) cookie: [u8; COOKIE_LEN],
}

impl AuthClient {
    /// The fields of a line, one after the other.
    pub(super) fn from_octets(octets: &[u8; CLIENT_LINE_LEN]) -> Self {
        let mut fields = Self { id: [0; 8], iv: [0; 16], cookie: [0; COOKIE_LEN] };
        let to = fields.id.iter_mut().chain(&mut fields.iv).chain(&mut fields.cookie);
        to.zip(octets).for_each(|(to, from)| *to = *from);
        fields
    }
}

/// `KP_hsc_desc_enc`: public x25519 key of a client that may read the descriptor.
///
/// Spec: rend-spec-v3, 1.9 and 2.5.1.2.
#[doc(alias = "KP_hsc_desc_enc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientPublicKey([u8; 32]);

impl ClientPublicKey {
    /// Reads the line of an `.auth` file.
    ///
    /// # Errors
    /// [`ClientKeyError`] if it has another form, or if the key is of small order: a cookie for it could be read by all.
    ///
    /// Spec: rend-spec-v3, G.1.1.
    pub fn from_auth(line: &str) -> Result<Self, ClientKeyError> {
        let octets = *key_field(line)?;
        let agreed = StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(octets));
        if agreed.was_contributory() { Ok(Self(octets)) } else { Err(ClientKeyError::Weak) }
    }

    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ClientPublicKey {
    /// As in an `.auth` file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor:x25519:{}", BASE32_NOPAD.encode(&self.0))
    }
}

/// The `auth-client` lines and the cookie of one descriptor that only some clients may read.
///
/// All of it follows from the period's secret and the set of clients. So it is the same at every upload, and another set
/// has another cookie: who was taken out cannot read on with the cookie of before.
///
/// Spec: rend-spec-v3, 2.5.1.2; C tor, `build_service_desc_superencrypted`.
pub(super) struct Lock {
    /// True and false lines, shuffled.
    pub(super) lines: Vec<AuthClient>,
    /// The cookie.
    pub(super) cookie: Zeroizing<[u8; COOKIE_LEN]>,
}

impl Lock {
    /// For these clients; for none, nobody can read the descriptor.
    pub(super) fn new(
        keys: &PeriodKeys,
        clients: &BTreeSet<ClientPublicKey>,
        subcredential: &Subcredential,
    ) -> Self {
        let mut random = keys.random_for(clients);
        let mut cookie = Zeroizing::new([0; COOKIE_LEN]);
        random.read(cookie.as_mut_slice());
        let mut lines = Vec::with_capacity(clients.len().next_multiple_of(CLIENT_LINES));
        for client in clients {
            let mut iv = [0; 16];
            random.read(&mut iv);
            lines.push(line_for(keys.ephemeral(), client, subcredential, iv, &cookie));
        }
        while lines.is_empty() || lines.len() % CLIENT_LINES != 0 {
            let mut octets = [0; CLIENT_LINE_LEN];
            random.read(&mut octets);
            lines.push(AuthClient::from_octets(&octets));
        }
        lines.sort_by_cached_key(|_line| {
            let mut place = [0; 16];
            random.read(&mut place);
            place
        });
        Self { lines, cookie }
    }
}

/// The line that lets a client find the cookie.
///
/// Spec: rend-spec-v3, 2.5.1.2.
pub(super) fn line_for(
    ephemeral: &StaticSecret,
    client: &ClientPublicKey,
    subcredential: &Subcredential,
    iv: [u8; 16],
    cookie: &[u8; COOKIE_LEN],
) -> AuthClient {
    let shared = ephemeral.diffie_hellman(&PublicKey::from(client.0));
    let keys = ClientKeys::new(subcredential, shared.as_bytes());
    AuthClient { id: keys.id, iv, cookie: keys.crypt(&iv, cookie) }
}

/// `KS_hsc_desc_enc`: secret x25519 key of a client that a service has authorized.
///
/// Spec: rend-spec-v3, 1.9 and 2.5.1.2.
#[doc(alias = "KS_hsc_desc_enc")]
pub struct ClientKey(StaticSecret);

impl ClientKey {
    /// Takes the 32 octets of the secret key.
    #[must_use]
    pub fn from_bytes(mut secret: [u8; 32]) -> Self {
        let key = Self(StaticSecret::from(secret));
        secret.zeroize();
        key
    }

    /// Reads a line of an `.auth_private` file; the address before the key is not looked at.
    ///
    /// # Errors
    /// [`ClientKeyError`] if it has another form.
    ///
    /// Spec: rend-spec-v3, G.1.1.
    pub fn from_auth_private(line: &str) -> Result<Self, ClientKeyError> {
        Ok(Self(StaticSecret::from(*key_field(line)?)))
    }

    /// Reads what stands in a file: a line as in `.auth_private`, or the bare base32.
    ///
    /// # Errors
    /// [`ClientKeyError`] if it is neither.
    pub fn from_text(text: &str) -> Result<Self, ClientKeyError> {
        let line = text.trim();
        if line.contains(':') {
            Self::from_auth_private(line)
        } else {
            Ok(Self(StaticSecret::from(*base32(line)?)))
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> ClientPublicKey {
        ClientPublicKey(PublicKey::from(&self.0).to_bytes())
    }

    /// The secret as base32, for the client's own file.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.0.as_bytes()))
    }

    /// The descriptor cookie, if one of the lines is for this client.
    ///
    /// Spec: rend-spec-v3, 2.5.1.2.
    pub(super) fn cookie(
        &self,
        ephemeral: &[u8; 32],
        lines: &[AuthClient],
        subcredential: &Subcredential,
    ) -> Option<Zeroizing<[u8; COOKIE_LEN]>> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*ephemeral));
        let keys = ClientKeys::new(subcredential, shared.as_bytes());
        let line = lines.iter().find(|line| bool::from(line.id.ct_eq(&keys.id)))?;
        Some(Zeroizing::new(keys.crypt(&line.iv, &line.cookie)))
    }
}

/// What a client and a service derive from their shared secret.
struct ClientKeys {
    /// `CLIENT-ID`.
    id: [u8; 8],
    /// `COOKIE-KEY`.
    key: Zeroizing<[u8; 32]>,
}

impl ClientKeys {
    /// `SHAKE-256(N_hs_subcred | SECRET_SEED)`, 40 octets.
    ///
    /// Spec: rend-spec-v3, 2.5.1.2.
    fn new(subcredential: &Subcredential, shared: &[u8; 32]) -> Self {
        let mut hash = Shake256::default();
        hash.update(&subcredential.0);
        hash.update(shared);
        let mut reader = hash.finalize_xof();
        let (mut id, mut key) = ([0; 8], Zeroizing::new([0; 32]));
        reader.read(&mut id);
        reader.read(key.as_mut_slice());
        Self { id, key }
    }

    /// Encrypts or decrypts a cookie.
    fn crypt(&self, iv: &[u8; 16], cookie: &[u8; COOKIE_LEN]) -> [u8; COOKIE_LEN] {
        let mut out = *cookie;
        Ctr128BE::<Aes256>::new((&*self.key).into(), iv.into()).apply_keystream(&mut out);
        out
    }
}

/// The key in `[ADDRESS:]descriptor:x25519:KEY`.
fn key_field(line: &str) -> Result<Zeroizing<[u8; 32]>, ClientKeyError> {
    let mut fields = line.trim().rsplit(':');
    let (key, kind, what) = (fields.next(), fields.next(), fields.next());
    let (Some(key), Some("x25519"), Some("descriptor")) = (key, kind, what) else {
        return Err(ClientKeyError::Form);
    };
    base32(key)
}

/// 32 octets of base32, in letters of any size.
fn base32(key: &str) -> Result<Zeroizing<[u8; 32]>, ClientKeyError> {
    let upper = Zeroizing::new(key.to_ascii_uppercase());
    let octets = BASE32_NOPAD.decode(upper.as_bytes()).map_err(|_position| ClientKeyError::Base32)?;
    let octets = Zeroizing::new(octets);
    let key = octets.as_slice().try_into().map_err(|_length| ClientKeyError::Base32)?;
    Ok(Zeroizing::new(key))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    fn octets<const N: usize>(value: &Value) -> [u8; N] {
        HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
    }

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/vectors/client_auth.json")).unwrap()
    }

    /// The line that a service writes for a client.
    pub(in super::super) fn line_for(
        ephemeral: &[u8; 32],
        client: &[u8; 32],
        subcredential: &Subcredential,
        iv: [u8; 16],
        cookie: &[u8; 16],
    ) -> AuthClient {
        super::line_for(&StaticSecret::from(*ephemeral), &ClientPublicKey(*client), subcredential, iv, cookie)
    }

    #[test]
    fn tor_vector_agrees() {
        let row = &vectors()["tor"];
        let subcredential = Subcredential(octets(&row["subcredential"]));
        let cookie = octets(&row["descriptor_cookie"]);
        let line = line_for(
            &octets(&row["ephemeral_secret"]),
            &octets(&row["client_public"]),
            &subcredential,
            octets(&row["iv"]),
            &cookie,
        );
        assert_eq!(line.id, octets(&row["client_id"]));
        assert_eq!(line.cookie, octets(&row["encrypted_cookie"]));
    }

    #[test]
    fn a_client_finds_its_line_and_another_does_not() {
        let subcredential = Subcredential([7; 32]);
        let (service, client) = ([3; 32], [5; 32]);
        let public = |secret| x25519_dalek::x25519(secret, x25519_dalek::X25519_BASEPOINT_BYTES);
        let line = line_for(&service, &public(client), &subcredential, [9; 16], &[1; 16]);
        let fake = AuthClient { id: [0; 8], ..line };
        let found = ClientKey::from_bytes(client).cookie(&public(service), &[fake, line], &subcredential);
        assert_eq!(found.unwrap().as_slice(), [1; 16]);
        let other = ClientKey::from_bytes([6; 32]).cookie(&public(service), &[fake, line], &subcredential);
        assert!(other.is_none());
    }

    #[test]
    fn key_lines_are_read() {
        let row = &vectors()["auth_file"];
        let line = row["line"].as_str().unwrap();
        assert_eq!(*key_field(line).unwrap(), octets::<32>(&row["public"]));
        let key = line.rsplit(':').next().unwrap().to_ascii_lowercase();
        assert!(ClientKey::from_auth_private(&format!("abc:descriptor:x25519:{key}\n")).is_ok());
        for (bad, error) in [
            ("", ClientKeyError::Form),
            ("descriptor:ed25519:AAAA", ClientKeyError::Form),
            ("descriptor:x25519:AAAA", ClientKeyError::Base32),
            ("descriptor:x25519:1", ClientKeyError::Base32),
        ] {
            assert_eq!(ClientKey::from_auth_private(bad).err(), Some(error), "{bad}");
        }
    }

    #[test]
    fn keys_of_small_order_are_refused() {
        for octets in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let line = format!("descriptor:x25519:{}", BASE32_NOPAD.encode(&octets));
            assert_eq!(ClientPublicKey::from_auth(&line), Err(ClientKeyError::Weak));
        }
    }

    #[test]
    fn both_halves_are_read_back() {
        let secret = ClientKey::from_bytes([5; 32]);
        let public = secret.public();
        assert_eq!(ClientPublicKey::from_auth(&public.to_string()), Ok(public));
        let bare = secret.to_base32();
        assert_eq!(ClientKey::from_text(&format!("{}\n", *bare)).ok().map(|key| key.public()), Some(public));
        let line = format!("abc:descriptor:x25519:{}\n", *bare);
        assert_eq!(ClientKey::from_text(&line).ok().map(|key| key.public()), Some(public));
        assert_eq!(ClientKey::from_text("").err(), Some(ClientKeyError::Base32));
    }
}
