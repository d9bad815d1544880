//! The encoder against the byte-exact vectors, and what it refuses.

use super::super::auth::{AuthClient, tests::line_for};
use super::*;
use crate::revision::{CounterKey, position};
use sha3::{Digest, Sha3_256};

fn rows() -> Vec<Value> {
    let vectors = vectors(include_str!("../../../../tests/vectors/golden_descriptors.json"));
    vectors["vectors"].as_array().unwrap().clone()
}

fn points(row: &Value) -> Vec<IntroPoint> {
    let point = |row: &Value| {
        let auth = IntroAuthKey::from_bytes(octets(&row["auth_key"])).unwrap();
        let enc = IntroEncKey(octets(&row["enc_key"]));
        IntroPoint::new(hex(&row["link_specifiers"]), octets(&row["onion_key"]), auth, enc).unwrap()
    };
    row["inputs"]["intro_points"].as_array().unwrap().iter().map(point).collect()
}

/// The vector's auth-client lines: false ones as given, true ones computed.
fn clients(frontend: &Frontend, row: &Value) -> Vec<AuthClient> {
    let inputs = &row["inputs"];
    let client = |client: &Value| {
        let iv = octets(&client["iv"]);
        if client.get("fake_id").is_some() {
            return AuthClient { id: octets(&client["fake_id"]), iv, cookie: octets(&client["fake_cookie"]) };
        }
        let (secret, cookie) =
            (octets(&inputs["ephemeral_x25519_secret"]), octets(&inputs["descriptor_cookie"]));
        line_for(&secret, &octets(&client["client_public"]), &frontend.subcredential, iv, &cookie)
    };
    inputs["auth_clients"].as_array().unwrap().iter().map(client).collect()
}

/// The inner layer of a vector: the encoder's own, with the proof-of-work line that a balancer never writes put in.
fn inner(frontend: &Frontend, row: &Value) -> String {
    let points = points(row);
    let single_onion = row["inputs"].get("single_onion").is_some();
    let draft = Draft { single_onion, ..frontend.draft(&points) };
    let text = draft.inner(&points.iter().collect::<Vec<_>>());
    let Some(pow) = row["inputs"].get("pow") else { return text };
    let seed = data_encoding::BASE64.encode(&hex(&pow["seed"]));
    let line =
        format!("pow-params v1 {seed} {} {}\n", pow["suggested_effort"], pow["expiration"].as_str().unwrap());
    let at = text.find("introduction-point").unwrap();
    format!("{}{line}{}", &text[..at], &text[at..])
}

#[test]
fn golden_descriptors_are_made_octet_for_octet() {
    let rows = rows();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let (inputs, outputs) = (&row["inputs"], &row["outputs"]);
        let frontend = Frontend::of_vector(row);
        let counter = CounterKey::from_raw(octets(&outputs["ope_key"]));
        let position = position(frontend.now, UnixTime(inputs["srv_run_start"].as_u64().unwrap()));
        let revision = counter.counter_at(position).unwrap();
        assert_eq!(revision, outputs["revision_counter"].as_u64().unwrap());
        let inner = inner(&frontend, row);
        assert_eq!(inner, outputs["inner_plaintext"].as_str().unwrap());
        let header = middle::write_header(&frontend.keys, clients(&frontend, row).into_iter());
        let cookie = inputs.get("descriptor_cookie").map(octets::<16>);
        let salts = [octets(&inputs["inner_salt"]), octets(&inputs["outer_salt"])];
        let draft = Draft { revision, ..frontend.draft(&[]) };
        let made = encode_layers(&draft, &header, &inner, cookie.as_ref(), salts).unwrap();
        assert_eq!(made, text(row["file"].as_str().unwrap()), "{}", inputs["name"]);
        assert_eq!(made.len() as u64, outputs["descriptor_len"].as_u64().unwrap());
        assert_eq!(<[u8; 32]>::from(Sha3_256::digest(&made)), octets(&outputs["descriptor_sha3_256"]));
    }
}

#[test]
fn golden_descriptors_are_read_back() {
    for row in &rows() {
        let (inputs, outputs) = (&row["inputs"], &row["outputs"]);
        let frontend = Frontend::of_vector(row);
        let text = text(row["file"].as_str().unwrap());
        let client =
            inputs["auth_clients"].as_array().unwrap().iter().find_map(|client| client.get("client_secret"));
        let key = client.map(|secret| ClientKey::from_bytes(octets(secret)));
        let decoded =
            decode(text.as_bytes(), &frontend.onion, frontend.period, key.as_ref(), frontend.now).unwrap();
        assert_eq!(decoded.intro_points, points(row));
        assert_eq!(decoded.revision, outputs["revision_counter"].as_u64().unwrap());
        assert_eq!(
            u64::from(decoded.cert_expires.0),
            outputs["signing_cert_expiration_hours"].as_u64().unwrap()
        );
        assert_eq!(*decoded.signing_key.as_bytes(), octets(&outputs["desc_signing_public"]));
        assert_eq!(decoded.flow_control.as_ref(), Some(&frontend.flow));
        assert_eq!(decoded.single_onion, inputs.get("single_onion").is_some());
        assert_eq!(decoded.pow.len(), usize::from(inputs.get("pow").is_some()));
        assert_eq!(decoded.client_authorization, client.is_some());
        for (length, name) in [
            (decoded.lengths.inner, "inner_plaintext_len"),
            (decoded.lengths.middle, "middle_plaintext_len"),
            (decoded.lengths.middle_padded, "middle_padded_len"),
            (decoded.lengths.encrypted, "encrypted_blob_len"),
            (decoded.lengths.superencrypted, "superencrypted_blob_len"),
            (decoded.lengths.text, "descriptor_len"),
        ] {
            assert_eq!(length as u64, outputs[name].as_u64().unwrap(), "{name}");
        }
        assert!(decoded.skipped_points.is_empty() && decoded.unknown_lines.is_empty());
    }
}

#[test]
fn client_authorization_says_which_key_is_missing() {
    let row = &rows()[1];
    let frontend = Frontend::of_vector(row);
    let text = text("golden_client_auth.desc.txt");
    let fault = |key: Option<&ClientKey>| {
        let error = decode(text.as_bytes(), &frontend.onion, frontend.period, key, frontend.now).unwrap_err();
        assert_eq!((error.layer, error.keyword), (Layer::Middle, Some("encrypted")));
        error.fault
    };
    assert_eq!(fault(None), Fault::NeedsClientKey);
    assert_eq!(fault(Some(&ClientKey::from_bytes([9; 32]))), Fault::ClientKeyRefused);
    // A key that is not needed does no harm.
    let plain = super::text("golden_plain.desc.txt");
    let key = ClientKey::from_bytes([9; 32]);
    let decoded =
        decode(plain.as_bytes(), &frontend.onion, frontend.period, Some(&key), frontend.now).unwrap();
    assert!(!decoded.client_authorization);
}

#[test]
fn sizes_are_those_of_c_tor() {
    let frontend = Frontend::golden();
    for (points, length) in
        [(0, 14_111), (3, 14_111), (8, 14_111), (9, 27_651), (18, 27_651), (19, 41_191), (20, 41_191)]
    {
        let points: Vec<_> = (0..points).map(point).collect();
        let text = frontend.draft(&points).prepare().unwrap().encode([[0; 16], [1; 16]]).unwrap();
        assert_eq!(text.len(), length, "{} points", points.len());
        let blocks = frontend.decode(&text).unwrap().lengths.middle_padded / 10_000;
        assert_eq!(size_class(length), blocks, "{} points", points.len());
    }
}

#[test]
fn copies_for_two_hsdirs_share_all_but_salts_and_signature() {
    let frontend = Frontend::golden();
    let points: Vec<_> = (0..3).map(point).collect();
    let prepared = frontend.draft(&points).prepare().unwrap();
    let one = prepared.encode([[1; 16], [2; 16]]).unwrap();
    let two = prepared.encode([[3; 16], [4; 16]]).unwrap();
    assert_eq!(one.lines().take(7).collect::<Vec<_>>(), two.lines().take(7).collect::<Vec<_>>());
    assert_ne!(one.lines().last(), two.lines().last());
    assert_eq!(frontend.decode(&one), frontend.decode(&two));
}

#[test]
fn drafts_that_do_not_fit_are_refused() {
    let mut frontend = Frontend::golden();
    let many: Vec<_> = (0..21).map(point).collect();
    assert_eq!(frontend.draft(&many).prepare().err(), Some(BuildError::TooManyPoints(21)));
    let twice = [point(1), point(2), point(1)];
    assert_eq!(frontend.draft(&twice).prepare().err(), Some(BuildError::DuplicatePoint));
    let small = Draft { max_descriptor_size: 14_111, ..frontend.draft(&[]) };
    let refused = small.prepare().unwrap().encode([[0; 16]; 2]);
    assert_eq!(refused, Err(BuildError::TooLong { length: 14_111, limit: 14_111 }));
    assert!(Draft { max_descriptor_size: 14_112, ..small }.prepare().unwrap().encode([[0; 16]; 2]).is_ok());
    for (versions, sendme_inc) in [("1-2 31\nx", 31), ("", 31), ("1-2", 0)] {
        let flow = FlowControl { versions: versions.to_owned(), sendme_inc };
        let draft = Draft { flow_control: Some(&flow), ..frontend.draft(&[]) };
        assert_eq!(draft.prepare().err(), Some(BuildError::FlowControl));
    }
    frontend.cert.0[44] ^= 1;
    assert_eq!(frontend.draft(&[]).prepare().err(), Some(BuildError::Certificate));
    frontend.cert.0[44] ^= 1;
    frontend.cert.0[7] ^= 1;
    assert_eq!(frontend.draft(&[]).prepare().err(), Some(BuildError::Certificate));
}
