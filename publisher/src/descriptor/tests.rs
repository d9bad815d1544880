//! Descriptors against vectors, real ones and hostile ones; what these tests share.

#![expect(clippy::string_slice, clippy::as_conversions, reason = "tests of known texts")]

use super::build::encode_layers;
use super::*;
use data_encoding::HEXLOWER;
use onionkeep_common::cert::{CertError, CertType};
use onionkeep_common::{
    BlindedId, EncodedCert, IntroAuthKey, IntroEncKey, OnionAddress, PeriodLength, PeriodNumber,
    Subcredential, TimePeriod, UncheckedCert, UnixTime,
};
use serde_json::Value;

mod clients;
mod golden;
mod hostile;
mod points;
mod real;
mod shown;

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn octets<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap()
}

fn vectors(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// The text of a descriptor among the vectors.
fn text(file: &str) -> String {
    let path = format!("{}/../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn period_of(row: &Value) -> TimePeriod {
    let length = u32::try_from(row["period_length_minutes"].as_u64().unwrap()).unwrap();
    TimePeriod {
        number: PeriodNumber(row["time_period"].as_u64().unwrap()),
        length: PeriodLength::new(length).unwrap(),
    }
}

/// A point with keys made from a number.
fn point(number: u64) -> IntroPoint {
    let seed: [u8; 32] = std::array::from_fn(|at| number.to_be_bytes()[at % 8] ^ u8::try_from(at).unwrap());
    let auth = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let enc = x25519_dalek::x25519(seed, x25519_dalek::X25519_BASEPOINT_BYTES);
    let mut links = vec![3, 0, 6, 192, 0, 2, seed[7], 1, 2, 2, 20];
    links.extend([seed[7]; 20]);
    links.extend([3, 32]);
    links.extend(seed);
    IntroPoint::new(links, seed, IntroAuthKey::from_bytes(auth).unwrap(), IntroEncKey(enc)).unwrap()
}

/// A frontend with everything needed to make descriptors of its own.
struct Frontend {
    onion: OnionAddress,
    period: TimePeriod,
    blinded: BlindedId,
    subcredential: Subcredential,
    cert: EncodedCert,
    keys: PeriodKeys,
    flow: FlowControl,
    now: UnixTime,
}

impl Frontend {
    /// The service of the golden vectors.
    fn golden() -> Self {
        let vectors = vectors(include_str!("../../../tests/vectors/golden_descriptors.json"));
        Self::of_vector(&vectors["vectors"][0])
    }

    /// The service of one golden vector, with its keys and, as far as they are false, its auth-client lines.
    fn of_vector(row: &Value) -> Self {
        let (inputs, outputs) = (&row["inputs"], &row["outputs"]);
        let mut keys = hex(&inputs["desc_signing_seed"]);
        keys.extend(hex(&inputs["ephemeral_x25519_secret"]));
        for client in inputs["auth_clients"].as_array().unwrap() {
            if client.get("fake_id").is_some() {
                ["fake_id", "iv", "fake_cookie"].iter().for_each(|name| keys.extend(hex(&client[*name])));
            } else {
                keys.extend([0; 40]);
            }
        }
        keys.extend([0x77; 32]);
        let onion: OnionAddress = outputs["address"].as_str().unwrap().parse().unwrap();
        let period = period_of(inputs);
        let blinded = onion.identity().blinded(period).unwrap();
        assert_eq!(*blinded.as_bytes(), octets(&outputs["blinded_public"]));
        let flow = &inputs["flow_control"];
        Self {
            subcredential: onion.identity().credential().subcredential(&blinded),
            onion,
            period,
            blinded,
            cert: EncodedCert(octets(&outputs["signing_cert"])),
            keys: PeriodKeys::from_bytes(&keys.try_into().unwrap()).unwrap(),
            flow: FlowControl {
                versions: flow[0].as_str().unwrap().to_owned(),
                sendme_inc: u8::try_from(flow[1].as_u64().unwrap()).unwrap(),
            },
            now: UnixTime(inputs["now"].as_u64().unwrap()),
        }
    }

    /// A draft with these points.
    fn draft<'a>(&'a self, intro_points: &'a [IntroPoint]) -> Draft<'a> {
        Draft {
            blinded: &self.blinded,
            subcredential: &self.subcredential,
            cert08: &self.cert,
            keys: &self.keys,
            revision: 1_830_354_583,
            flow_control: Some(&self.flow),
            single_onion: false,
            clients: None,
            intro_points,
            max_descriptor_size: MAX_DESCRIPTOR_SIZE,
            now: self.now,
        }
    }

    /// Encrypts and signs any middle header and inner layer.
    fn forge(&self, header: &str, inner: &str) -> String {
        let draft = Draft { max_descriptor_size: u32::MAX, ..self.draft(&[]) };
        encode_layers(&draft, header, inner, None, [[1; 16], [2; 16]]).unwrap()
    }

    /// The middle header as it should be.
    fn header(&self) -> String {
        middle::write_header(&self.keys, self.keys.fakes())
    }

    /// The inner layer with these points.
    fn inner(&self, points: &[IntroPoint]) -> String {
        self.draft(points).inner(&points.iter().collect::<Vec<_>>())
    }

    fn decode(&self, text: &str) -> Result<Decoded, DescriptorError> {
        decode(text.as_bytes(), &self.onion, self.period, None, self.now)
    }
}

#[test]
fn all_certificates_of_a_descriptor_are_of_one_hour_also_if_the_signer_is_away() {
    let (frontend, points) = (Frontend::golden(), [point(1), point(2)]);
    let points: Vec<_> = points.iter().collect();
    let end = UncheckedCert::parse(CertType::DescSigning, &frontend.cert.0).unwrap().expires();
    let ends = |hours: u64| {
        let draft = Draft { now: frontend.now.plus(hours * 3600), ..frontend.draft(&[]) };
        let inner = draft.inner(&points);
        let certs = inner.split("-----BEGIN ED25519 CERT-----\n").skip(1).map(|text| {
            let text = text.split("\n-----END").next().unwrap().replace('\n', "");
            let octets = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
            let kind = if octets[1] == CertType::IntroAuth.octet() {
                CertType::IntroAuth
            } else {
                CertType::IntroEnc
            };
            UncheckedCert::parse(kind, &octets).unwrap().expires().0
        });
        certs.collect::<Vec<_>>()
    };
    for hours in [0, 1, 2, 24, 46] {
        assert_eq!(ends(hours), [end.0 - 1; 4], "{hours} hours after the certificate");
    }
    // Nobody could use the points for long enough.
    assert_eq!(ends(50), [end.0 - 1 + 50; 4]);
}

#[test]
fn the_claimed_counter_is_that_of_the_text_and_no_other_number() {
    let (frontend, points) = (Frontend::golden(), [point(1), point(2)]);
    let draft = frontend.draft(&points);
    let text = draft.prepare().unwrap().encode([[1; 16], [2; 16]]).unwrap();
    assert_eq!(claimed_revision(text.as_bytes()), Some(draft.revision));
    let line = format!("\nrevision-counter {}\n", draft.revision);
    for other in [
        "",
        "\n",
        "\nrevision-counter \n",
        "\nrevision-counter -1\n",
        "\nrevision-counter 18446744073709551616\n",
    ] {
        assert_eq!(claimed_revision(text.replacen(&line, other, 1).as_bytes()), None, "{other:?}");
    }
    assert_eq!(claimed_revision(b"\nrevision-counter \xff\n"), None);
    assert_eq!(claimed_revision(b"\nrevision-counter 7"), Some(7));
}

#[test]
fn all_of_a_text_must_be_signed_by_a_key_whose_certificate_is_good_and_of_this_address() {
    let (frontend, points) = (Frontend::golden(), [point(1), point(2)]);
    let draft = frontend.draft(&points);
    let revision = draft.revision;
    let copy = |draft: Draft<'_>, salt| draft.prepare().unwrap().encode([[salt; 16], [salt; 16]]).unwrap();
    let reader = Reader::new(&frontend.onion, frontend.period).unwrap();
    let mut checked = Checked::default();
    let mut read = |text: &str| reader.read(text.as_bytes(), None, frontend.now, &mut checked);
    let good = copy(frontend.draft(&points), 1);
    for text in [&good, &copy(frontend.draft(&points), 2), &good] {
        assert_eq!(read(text).unwrap(), frontend.decode(text).unwrap());
    }
    let message = "superencrypted\n-----BEGIN MESSAGE-----\n";
    assert!(read(&good.replacen(message, &format!("{message}AAAA"), 1)).is_err());
    let claimed = copy(Draft { revision: revision + 7, ..draft }, 6);
    let claimed = claimed
        .replace(&format!("revision-counter {}", revision + 7), &format!("revision-counter {revision}"));
    assert_eq!(read(&claimed).unwrap_err().fault, Fault::Signature);
    let end = good.find("-----END ED25519 CERT").unwrap() - 8;
    let mut forged = good.clone();
    forged.replace_range(end..=end, if good.as_bytes()[end] == b'A' { "B" } else { "A" });
    assert_eq!(read(&forged).unwrap_err().fault, CertError::Signature.into());
    let late = reader.read(good.as_bytes(), None, frontend.now.plus(90 * 3600), &mut checked);
    assert!(late.is_err(), "its certificate has ended");
    let stranger = Reader::new(&crate::config::tests::A.parse().unwrap(), frontend.period).unwrap();
    let fault = stranger.read(good.as_bytes(), None, frontend.now, &mut checked).unwrap_err().fault;
    assert_eq!(fault, Fault::OtherService);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_made_is_read_back(
        numbers in proptest::collection::btree_set(0_u64..200, 0..5),
        revision: u64, single_onion: bool, flow: bool, sendme_inc in 1_u8..255, salts: [[u8; 16]; 2],
    ) {
        let frontend = Frontend::golden();
        let points: Vec<_> = numbers.iter().map(|number| point(*number)).collect();
        let flow = flow.then(|| FlowControl { versions: "1-2".to_owned(), sendme_inc });
        let draft = Draft { revision, single_onion, flow_control: flow.as_ref(), ..frontend.draft(&points) };
        let text = draft.prepare().unwrap().encode(salts).unwrap();
        let decoded = frontend.decode(&text).unwrap();
        let mut found = decoded.intro_points.clone();
        found.sort_unstable();
        let mut wanted = points.clone();
        wanted.sort_unstable();
        proptest::prop_assert_eq!(found, wanted);
        proptest::prop_assert_eq!((decoded.revision, decoded.single_onion), (revision, single_onion));
        proptest::prop_assert_eq!(&decoded.flow_control, &flow);
        proptest::prop_assert_eq!(&decoded.signing_key, frontend.keys.signing_key());
        proptest::prop_assert_eq!((decoded.auth_client_lines, decoded.lifetime_minutes), (16, 180));
        proptest::prop_assert!(decoded.skipped_points.is_empty() && decoded.unknown_lines.is_empty());
        proptest::prop_assert!(decoded.pow.is_empty() && decoded.sign_bits == 0 && !decoded.client_authorization);
    }

    #[test]
    fn order_depends_only_on_the_set(turn in 0_usize..7, dropped in 0_usize..7) {
        let frontend = Frontend::golden();
        let points: Vec<_> = (0..7).map(point).collect();
        let order = |points: &[IntroPoint]| frontend.keys.ordered(points).into_iter().cloned().collect::<Vec<_>>();
        let mut turned = points.clone();
        turned.rotate_left(turn);
        proptest::prop_assert_eq!(order(&turned), order(&points));
        let left_out = turned.remove(dropped);
        let mut wanted = order(&points);
        wanted.retain(|point| *point != left_out);
        proptest::prop_assert_eq!(order(&turned), wanted);
    }
}
