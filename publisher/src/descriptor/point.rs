//! One introduction point, as it is taken over from a backend: what is copied, and the syntax of its address.

use crate::consensus::{Fingerprint, RelayEd25519};
use onionkeep_common::keys::KeyError;
use onionkeep_common::{IntroAuthKey, IntroEncKey};

/// Link specifier types and the lengths that they must have.
///
/// Spec: tor-spec, 5.1.2 (`LSTYPE`, `LSLEN`).
const KNOWN_LENGTHS: [(u8, usize); 4] = [(IPV4, 6), (IPV6, 18), (RSA_ID, 20), (ED25519_ID, 32)];
/// All link specifiers of a point may have so many octets: those of all known types have 85.
const LINKS_MOST: usize = 128;
/// IPv4 address and port.
const IPV4: u8 = 0;
/// IPv6 address and port.
const IPV6: u8 = 1;
/// SHA-1 of the RSA identity key.
const RSA_ID: u8 = 2;
/// Ed25519 identity key.
const ED25519_ID: u8 = 3;

/// Why octets are not a list of link specifiers that a client could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The list ends in the middle of a specifier, or has surplus octets.
    #[error("the link specifiers end too early or too late")]
    Length,
    /// There are more than a descriptor of ours has room for.
    #[error("the link specifiers have more than {LINKS_MOST} octets")]
    TooLong,
    /// A specifier of a known type has a wrong length.
    #[error("a link specifier of type {0} has a wrong length")]
    FieldLength(u8),
    /// No IP address.
    #[error("no link specifier gives an address")]
    NoAddress,
    /// No RSA identity.
    #[error("no link specifier gives the relay's fingerprint")]
    NoIdentity,
}

/// Why fields do not make an introduction point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// The link specifiers are malformed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A key is not usable.
    #[error("a key of the introduction point is not usable: {0}")]
    Key(#[from] KeyError),
}

/// An introduction point: the relay and the keys that a client needs. All fields are checked.
///
/// Spec: rend-spec-v3, 2.5.2.2.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntroPoint {
    /// Link specifiers, verbatim.
    link_specifiers: Vec<u8>,
    /// The relay's ntor key.
    onion_key: [u8; 32],
    /// `KP_hs_ipt_sid`.
    auth_key: IntroAuthKey,
    /// `KP_hss_ntor`.
    enc_key: IntroEncKey,
    /// Ed25519 form of `enc_key`, which certificate 0B certifies.
    enc_form: [u8; 32],
}

impl IntroPoint {
    /// Takes the fields of a point.
    ///
    /// # Errors
    /// [`PointError`] if the link specifiers are malformed or `enc_key` is not on the curve.
    pub fn new(
        link_specifiers: Vec<u8>,
        onion_key: [u8; 32],
        auth_key: IntroAuthKey,
        enc_key: IntroEncKey,
    ) -> Result<Self, PointError> {
        let enc_form = enc_key.ed25519_form()?;
        Self::with_form(link_specifiers, onion_key, auth_key, (enc_key, enc_form)).map_err(PointError::Link)
    }

    /// Takes the fields of a point whose Ed25519 form is known to fit its `enc_key`.
    pub(super) fn with_form(
        link_specifiers: Vec<u8>,
        onion_key: [u8; 32],
        auth_key: IntroAuthKey,
        (enc_key, enc_form): (IntroEncKey, [u8; 32]),
    ) -> Result<Self, LinkError> {
        check_links(&link_specifiers)?;
        Ok(Self { link_specifiers, onion_key, auth_key, enc_key, enc_form })
    }

    /// The link specifiers as they stand in the descriptor, count first.
    #[must_use]
    pub fn link_specifiers(&self) -> &[u8] {
        &self.link_specifiers
    }

    /// The relay's ntor onion key.
    #[must_use]
    pub const fn onion_key(&self) -> &[u8; 32] {
        &self.onion_key
    }

    /// The authentication key, which identifies the point.
    #[must_use]
    pub const fn auth_key(&self) -> &IntroAuthKey {
        &self.auth_key
    }

    /// The key that clients encrypt their introduction to.
    #[must_use]
    pub const fn enc_key(&self) -> &IntroEncKey {
        &self.enc_key
    }

    /// The Ed25519 form of [`IntroPoint::enc_key`], sign bit 0.
    #[must_use]
    pub const fn enc_key_ed25519(&self) -> &[u8; 32] {
        &self.enc_form
    }

    /// The relay's Ed25519 identity, if it is given.
    #[must_use]
    pub fn relay_ed25519(&self) -> Option<RelayEd25519> {
        self.link(ED25519_ID)?.try_into().ok().map(RelayEd25519)
    }

    /// The relay's RSA fingerprint.
    #[must_use]
    pub fn relay_fingerprint(&self) -> Option<Fingerprint> {
        self.link(RSA_ID)?.try_into().ok().map(Fingerprint)
    }

    /// The content of the first specifier of a type.
    fn link(&self, kind: u8) -> Option<&[u8]> {
        links(&self.link_specifiers)
            .flatten()
            .find(|(found, _content)| *found == kind)
            .map(|(_kind, content)| content)
    }
}

/// Walks the specifiers (type, content); ends with an error if the count or a length is wrong.
fn links(octets: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), LinkError>> {
    let (mut left, mut rest) = octets.split_first().map_or((1, octets), |(count, rest)| (*count, rest));
    core::iter::from_fn(move || {
        if left == 0 {
            let surplus = !core::mem::take(&mut rest).is_empty();
            return surplus.then_some(Err(LinkError::Length));
        }
        left = left.saturating_sub(1);
        let next = take_link(&mut rest);
        if next.is_none() {
            (left, rest) = (0, &[]);
        }
        Some(next.ok_or(LinkError::Length))
    })
}

/// Takes one specifier off the front.
fn take_link<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let ([kind, len], tail) = rest.split_first_chunk()?;
    let (content, tail) = tail.split_at_checked(usize::from(*len))?;
    *rest = tail;
    Some((*kind, content))
}

/// Checks the form of link specifiers and that a client could connect with them.
///
/// Spec: rend-spec-v3, 2.5.2.2; C tor, `decode_link_specifiers`, `hs_get_extend_info_from_lspecs`.
fn check_links(octets: &[u8]) -> Result<(), LinkError> {
    if octets.len() > LINKS_MOST {
        return Err(LinkError::TooLong);
    }
    let (mut address, mut identity) = (false, false);
    for link in links(octets) {
        let (kind, content) = link?;
        if KNOWN_LENGTHS.iter().any(|(known, len)| *known == kind && *len != content.len()) {
            return Err(LinkError::FieldLength(kind));
        }
        address |= kind == IPV4 || kind == IPV6;
        identity |= kind == RSA_ID;
    }
    if !address {
        return Err(LinkError::NoAddress);
    }
    if identity { Ok(()) } else { Err(LinkError::NoIdentity) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Link specifiers of these types, with contents of these lengths.
    fn list(fields: &[(u8, u8)]) -> Vec<u8> {
        let mut octets = vec![u8::try_from(fields.len()).unwrap()];
        for (kind, len) in fields {
            octets.extend([*kind, *len]);
            octets.extend(std::iter::repeat_n(*kind, usize::from(*len)));
        }
        octets
    }

    #[test]
    fn lists_that_a_client_can_use_are_accepted() {
        for good in
            [&[(0, 6), (2, 20)][..], &[(1, 18), (3, 32), (2, 20)], &[(0, 6), (2, 20), (9, 0), (200, 93)]]
        {
            assert_eq!(check_links(&list(good)), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn other_lists_are_refused() {
        let mut surplus = list(&[(0, 6), (2, 20)]);
        surplus.push(0);
        let mut short = list(&[(0, 6), (2, 20)]);
        short.pop();
        for (bad, error) in [
            (list(&[(0, 5), (2, 20)]), LinkError::FieldLength(0)),
            (list(&[(0, 6), (2, 21)]), LinkError::FieldLength(2)),
            (list(&[(0, 6), (3, 32)]), LinkError::NoIdentity),
            (list(&[(2, 20)]), LinkError::NoAddress),
            (list(&[]), LinkError::NoAddress),
            (list(&[(0, 6), (2, 20), (9, 0), (200, 94)]), LinkError::TooLong),
            (surplus, LinkError::Length),
            (short, LinkError::Length),
            (vec![], LinkError::Length),
            (vec![255], LinkError::Length),
        ] {
            assert_eq!(check_links(&bad), Err(error), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _unused = check_links(&octets);
        }
    }
}
