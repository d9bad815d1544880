//! Descriptors made by C tor and by Arti: read, compared, and encrypted again.

use super::super::crypt::{LayerSecrets, Sealed, decrypt, encrypt, without_padding};
use super::super::decode::decode_as;
use super::super::middle::Middle;
use super::super::outer::{self, Outer, SIGNATURE_PREFIX};
use super::*;

fn rows() -> Vec<Value> {
    let vectors = vectors(include_str!("../../../../tests/vectors/descriptors.json"));
    vectors["descriptors"].as_array().unwrap().clone()
}

/// A time at which the certificate of a vector is good.
fn time_of(row: &Value) -> UnixTime {
    UnixTime((row["signing_cert_expiration_hours"].as_u64().unwrap() - 50) * 3600)
}

fn client_key(row: &Value) -> Option<ClientKey> {
    row.get("client_secret").map(|secret| ClientKey::from_bytes(octets(secret)))
}

#[test]
fn real_descriptors_are_read() {
    let rows = rows();
    assert_eq!(rows.len(), 7);
    for row in &rows {
        let text = text(row["file"].as_str().unwrap());
        let blinded = BlindedId::from_bytes(octets(&row["blinded_public"])).unwrap();
        let subcredential = Subcredential(octets(&row["subcredential"]));
        let key = client_key(row);
        let decoded =
            decode_as(text.as_bytes(), &blinded, &subcredential, key.as_ref(), Some(time_of(row))).unwrap();
        assert_eq!(decoded.revision, row["revision_counter"].as_u64().unwrap(), "{}", row["name"]);
        assert_eq!(decoded.lengths.text as u64, row["descriptor_len"].as_u64().unwrap());
        assert_eq!(u64::from(decoded.cert_expires.0), row["signing_cert_expiration_hours"].as_u64().unwrap());
        assert_eq!(decoded.client_authorization, key.is_some());
        let inner = row["inner_plaintext"].as_str().unwrap();
        assert_eq!(decoded.lengths.inner, inner.len());
        assert_eq!(decoded.flow_control.is_some(), inner.contains("\nflow-control "));
        assert_eq!(decoded.single_onion, inner.contains("\nsingle-onion-service"));
        assert_eq!(decoded.pow.len(), inner.matches("\npow-params ").count());
        assert_eq!(decoded.intro_points.len(), inner.matches("introduction-point ").count());
        let middle = row["middle_plaintext"].as_str().unwrap();
        assert_eq!(decoded.auth_client_lines, middle.matches("\nauth-client ").count());
        assert!(
            decoded.skipped_points.is_empty() && decoded.unknown_lines.is_empty() && decoded.sign_bits == 0
        );
        compare_points(&decoded, row);
        compare_address(&decoded, row, &text);
    }
}

/// Compares the points with those of a vector that lists them.
fn compare_points(decoded: &Decoded, row: &Value) {
    let Some(points) = row.get("intro_points") else { return };
    assert_eq!(decoded.intro_points.len(), points.as_array().unwrap().len());
    for (point, wanted) in decoded.intro_points.iter().zip(points.as_array().unwrap()) {
        assert_eq!(point.link_specifiers(), hex(&wanted["link_specifiers"]));
        assert_eq!(*point.onion_key(), octets(&wanted["onion_key"]));
        assert_eq!(*point.auth_key().as_bytes(), octets(&wanted["auth_key"]));
        assert_eq!(point.enc_key().0, octets(&wanted["enc_key"]));
        assert_eq!(*point.enc_key_ed25519(), octets(&wanted["enc_cert_certified"]));
        assert!(point.relay_ed25519().is_some() && point.relay_fingerprint().is_some());
    }
}

/// Reads a vector by its address, where that is known.
fn compare_address(decoded: &Decoded, row: &Value, text: &str) {
    let Some(address) = row.get("address") else { return };
    let onion: OnionAddress = address.as_str().unwrap().parse().unwrap();
    let again = decode(text.as_bytes(), &onion, period_of(row), client_key(row).as_ref(), time_of(row));
    assert_eq!(again.as_ref(), Ok(decoded));
    assert_eq!(*decoded.signing_key.as_bytes(), octets(&row["desc_signing_public"]));
}

#[test]
fn real_layers_are_encrypted_again_octet_for_octet() {
    let mut seen = 0;
    for row in rows().iter().filter(|row| row.get("inner_salt").is_some()) {
        let text = text(row["file"].as_str().unwrap());
        let (blinded, sub): ([u8; 32], _) =
            (octets(&row["blinded_public"]), Subcredential(octets(&row["subcredential"])));
        let revision = row["revision_counter"].as_u64().unwrap();
        let secrets = LayerSecrets { blinded: &blinded, subcredential: &sub, revision };
        let outer = Outer::read(text.as_bytes(), Some(&blinded)).unwrap();
        let mut padded = row["middle_plaintext"].as_str().unwrap().as_bytes().to_vec();
        let middle = Middle::read(&padded).unwrap();
        let cookie = row.get("descriptor_cookie").map(octets::<16>);
        let layer = Sealed::Inner(cookie.as_ref());
        let inner = decrypt(&secrets, layer, &middle.blob).unwrap();
        assert_eq!(without_padding(&inner), row["inner_plaintext"].as_str().unwrap().as_bytes());
        assert_eq!(encrypt(&secrets, layer, &octets(&row["inner_salt"]), &inner), middle.blob);
        padded.resize(usize::try_from(row["middle_padded_len"].as_u64().unwrap()).unwrap(), 0);
        assert_eq!(encrypt(&secrets, Sealed::Middle, &octets(&row["outer_salt"]), &padded), outer.blob);
        let written = outer::write(&EncodedCert(octets(&row["signing_cert"])), revision, &outer.blob);
        assert!(text.starts_with(&written[SIGNATURE_PREFIX.len()..]), "{}", row["name"]);
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn a_descriptor_of_c_tor_looks_like_ours_line_by_line() {
    let ours = text("golden_plain.desc.txt");
    let keywords = |text: &str| {
        text.lines().map(|line| (line.split(' ').next().unwrap().len(), line.len())).collect::<Vec<_>>()
    };
    let theirs = text("ctor_plain.desc.txt");
    // Base64 lines have their length as keyword length; only the counter may have another number of digits.
    let (ours, theirs) = (keywords(&ours), keywords(&theirs));
    let differing: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).collect();
    assert_eq!(ours.len(), theirs.len());
    assert!(differing.iter().all(|(a, _)| a.0 == "revision-counter".len()), "{differing:?}");
}
