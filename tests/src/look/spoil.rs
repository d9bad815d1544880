//! Encoders with one mistake each: what the classifier must find, or its silence means nothing.

use anyhow::Result;

use super::sample::Held;
use crate::descriptor::Opened;

/// A mistake: its name, what it makes of a descriptor, and how often that has to be seen.
pub type Mistake = (&'static str, Sight, fn(&Opened) -> Result<Opened>);

/// How often a descriptor has to be seen to find a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// One look tells.
    Once,
    /// Only who has seen an earlier upload of the same descriptor can tell.
    Again,
}

/// Mistakes that have been made by others, and small ones that could be made here.
pub const MISTAKES: [Mistake; 6] = [
    ("type-08 certificate an hour short", Sight::Once, |opened| {
        Ok(Opened { expires: opened.expires - 1, ..opened.clone() })
    }),
    ("padding of length mod 10000", Sight::Once, |opened| {
        let text = opened.middle_text()?.len();
        let mut spoiled = opened.clone();
        spoiled.middle.resize(text + text % 10_000, 0);
        Ok(spoiled)
    }),
    ("no flow-control line", Sight::Once, |opened| inner(opened, "flow-control 1-2 31\n", "")),
    ("no line end after the inner layer", Sight::Once, |opened| {
        let mut spoiled = opened.clone();
        spoiled.inner.pop();
        Ok(spoiled)
    }),
    ("a line end after the middle layer", Sight::Once, |opened| {
        let mut spoiled = opened.clone();
        let end = opened.middle_text()?.len();
        if let Some(octet) = spoiled.middle.get_mut(end) {
            *octet = b'\n';
        }
        Ok(spoiled)
    }),
    ("a new signing key at each upload", Sight::Again, |opened| {
        let mut spoiled = opened.clone();
        spoiled.signing_key[..8].copy_from_slice(&opened.revision.to_be_bytes());
        Ok(spoiled)
    }),
];

/// The same look at the same service, had its encoder made this mistake.
pub fn spoil(held: &Held, mistake: Mistake) -> Result<Held> {
    let copies = held.copies.iter().map(|(hsdir, opened)| Ok((hsdir.clone(), mistake.2(opened)?)));
    Ok(Held { copies: copies.collect::<Result<_>>()?, ..held.clone() })
}

/// Replaces text of the inner layer.
fn inner(opened: &Opened, from: &str, to: &str) -> Result<Opened> {
    Ok(Opened { inner: opened.inner_text()?.replacen(from, to, 1).into_bytes(), ..opened.clone() })
}
