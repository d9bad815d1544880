//! The middle layer: the header of client authorization around the inner layer. Read and written.

use super::auth::AuthClient;
use super::error::{DescriptorError, Fault, Layer};
use super::keys::PeriodKeys;
use super::outer::write_object;
use super::table::{Entry, Table};
use crate::netdoc::text_of;
use data_encoding::{BASE64, BASE64_NOPAD};

/// The plaintext is padded to a multiple of this.
///
/// Spec: rend-spec-v3, 2.5.1.1.
const PADDING: usize = 10_000;
/// The keywords of this layer.
const KNOWN: [&str; 4] = ["desc-auth-type", "desc-auth-ephemeral-key", "auth-client", "encrypted"];

/// The middle layer.
#[derive(Debug)]
pub(super) struct Middle<'t> {
    /// `desc-auth-ephemeral-key`.
    pub(super) ephemeral: [u8; 32],
    /// `auth-client` lines, true and false ones.
    pub(super) clients: Vec<AuthClient>,
    /// Content of `encrypted`.
    pub(super) blob: Vec<u8>,
    /// Line of `encrypted`.
    pub(super) blob_line: usize,
    /// All lines.
    pub(super) table: Table<'t>,
}

impl<'t> Middle<'t> {
    /// Reads the layer.
    ///
    /// Spec: rend-spec-v3, 2.5.1.2; C tor, `desc_decode_superencrypted_v3`.
    pub(super) fn read(octets: &'t [u8]) -> Result<Self, DescriptorError> {
        let text = text_of(octets).map_err(|error| DescriptorError::syntax(Layer::Middle, error))?;
        let table = Table::read(Layer::Middle, text)?;
        let kind = table.first("desc-auth-type")?;
        if kind.item.arg(0) != Some("x25519") {
            return Err(kind.error(Fault::Argument));
        }
        let ephemeral = table.required("desc-auth-ephemeral-key")?.octets(0)?;
        let clients: Vec<_> =
            table.all("auth-client").map(|entry| read_client(&entry)).collect::<Result<_, _>>()?;
        if clients.is_empty() {
            return Err(DescriptorError::new(Layer::Middle, Some("auth-client"), Fault::Missing));
        }
        let blob = table.required("encrypted")?;
        Ok(Self { ephemeral, clients, blob: blob.object("MESSAGE")?, blob_line: blob.item.line, table })
    }

    /// Keywords that this layer has.
    pub(super) const fn known() -> &'static [&'static str] {
        &KNOWN
    }
}

/// Reads an `auth-client` line.
fn read_client(entry: &Entry<'_>) -> Result<AuthClient, DescriptorError> {
    Ok(AuthClient { id: entry.octets(0)?, iv: entry.octets(1)?, cookie: entry.octets(2)? })
}

/// Writes all lines before `encrypted`; the same at every upload of a period.
pub(super) fn write_header(keys: &PeriodKeys, clients: impl Iterator<Item = AuthClient>) -> String {
    let mut text = String::with_capacity(1300);
    text.push_str("desc-auth-type x25519\ndesc-auth-ephemeral-key ");
    BASE64.encode_append(keys.ephemeral_public(), &mut text);
    for client in clients {
        text.push_str("\nauth-client ");
        BASE64_NOPAD.encode_append(&client.id, &mut text);
        text.push(' ');
        BASE64_NOPAD.encode_append(&client.iv, &mut text);
        text.push(' ');
        BASE64_NOPAD.encode_append(&client.cookie, &mut text);
    }
    text.push('\n');
    text
}

/// Writes the padded layer: header, `encrypted`, no line feed at the end, NULs to the next multiple of 10000.
pub(super) fn write(header: &str, blob: &[u8]) -> Vec<u8> {
    let mut text =
        String::with_capacity(header.len().saturating_add(blob.len().saturating_mul(7) / 5 + PADDING));
    text.push_str(header);
    text.push_str("encrypted\n");
    write_object(&mut text, "MESSAGE", blob);
    let mut padded = text.into_bytes();
    padded.resize(padded.len().next_multiple_of(PADDING), 0);
    padded
}
