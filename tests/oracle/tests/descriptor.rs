//! tor-netdoc reads what we make, and both read the vectors alike.

use anyhow::{Context, Result, ensure};
use onionkeep_common::{EncodedCert, IntroAuthKey, IntroEncKey, UnixTime};
use onionkeep_oracle::*;
use onionkeep_publisher::descriptor::{
    ClientKey, Draft, FlowControl, IntroPoint, MAX_DESCRIPTOR_SIZE, PERIOD_KEYS_LEN, PeriodKeys, decode,
};

/// A point with keys made from a number.
fn point(number: u8) -> Result<IntroPoint> {
    let seed = [number.wrapping_add(1); 32];
    let auth = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let enc = x25519_dalek::x25519(seed, x25519_dalek::X25519_BASEPOINT_BYTES);
    let links = [&[3, 0, 6, 192, 0, 2, number, 1, 2, 2, 20][..], &[number; 20], &[3, 32], &seed].concat();
    Ok(IntroPoint::new(links, seed, IntroAuthKey::from_bytes(auth)?, IntroEncKey(enc))?)
}

#[test]
fn tor_netdoc_reads_and_verifies_what_we_make() -> Result<()> {
    let golden = vectors("golden_descriptors.json")?;
    let (inputs, outputs) = (&golden["vectors"][0]["inputs"], &golden["vectors"][0]["outputs"]);
    let service = Service::new(text(outputs, "address")?.parse()?, period(inputs)?)?;
    let mut keys = [9; PERIOD_KEYS_LEN];
    keys[..32].copy_from_slice(&octets::<32>(inputs, "desc_signing_seed")?);
    let keys = PeriodKeys::from_bytes(&keys)?;
    let cert08 = EncodedCert(octets(outputs, "signing_cert")?);
    let now = UnixTime(number(inputs, "now")?);
    let flow = FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 };
    for (count, flow_control, single_onion) in
        [(3, Some(&flow), false), (20, Some(&flow), false), (8, None, true)]
    {
        let intro_points: Vec<_> = (0..count).map(point).collect::<Result<_>>()?;
        let draft = Draft {
            blinded: &service.blinded,
            subcredential: &service.subcredential,
            cert08: &cert08,
            keys: &keys,
            revision: 4_000_000_000 + u64::from(count),
            flow_control,
            single_onion,
            clients: None,
            intro_points: &intro_points,
            max_descriptor_size: MAX_DESCRIPTOR_SIZE,
            now,
        };
        let made = draft.prepare()?.encode([[count; 16], [77; 16]])?;
        let theirs = read(&made, &service.blinded, &service.subcredential, None, now)?;
        let ours = decode(made.as_bytes(), &service.onion, service.period, None, now)?;
        ensure!(theirs.intro_points().len() == usize::from(count));
        compare_points(theirs.intro_points(), &ours.intro_points)?;
        compare_flow_control(&theirs, flow_control)?;
        ensure!(theirs.is_single_onion_service() == single_onion);
        ensure!(u64::from(theirs.revision()) == 4_000_000_000 + u64::from(count));
        let altered = made.replacen("lifetime 180", "lifetime 179", 1);
        ensure!(read(&altered, &service.blinded, &service.subcredential, None, now).is_err(), "altered");
        let late = now.plus(56 * 3600);
        ensure!(read(&made, &service.blinded, &service.subcredential, None, late).is_err(), "expired");
    }
    Ok(())
}

#[test]
fn golden_descriptors_are_read_alike() -> Result<()> {
    let golden = vectors("golden_descriptors.json")?;
    for row in golden["vectors"].as_array().context("vectors")? {
        let (inputs, outputs) = (&row["inputs"], &row["outputs"]);
        let service = Service::new(text(outputs, "address")?.parse()?, period(inputs)?)?;
        let clients = inputs["auth_clients"].as_array().context("auth_clients")?;
        let client = clients.iter().find(|client| client.get("client_secret").is_some());
        let secret = client.map(|client| octets::<32>(client, "client_secret")).transpose()?;
        let document = vector_file(text(row, "file")?)?;
        read_both(&document, &service, secret, UnixTime(number(inputs, "now")?))?;
    }
    Ok(())
}

#[test]
fn descriptors_of_c_tor_and_arti_are_read_alike() -> Result<()> {
    let real = vectors("descriptors.json")?;
    let mut compared = 0;
    for row in real["descriptors"].as_array().context("descriptors")? {
        let Some(address) = row["address"].as_str() else { continue };
        let service = Service::new(address.parse()?, period(row)?)?;
        let secret = row.get("client_secret").map(|_| octets::<32>(row, "client_secret")).transpose()?;
        let now = UnixTime((number(row, "signing_cert_expiration_hours")? - 50) * 3600);
        read_both(&vector_file(text(row, "file")?)?, &service, secret, now)
            .with_context(|| row["name"].to_string())?;
        compared += 1;
    }
    ensure!(compared == 6, "{compared} descriptors were compared");
    Ok(())
}

/// Reads a descriptor with both and compares.
fn read_both(document: &str, service: &Service, secret: Option<[u8; 32]>, now: UnixTime) -> Result<()> {
    let keys = secret.map(client_keys);
    let theirs = read(document, &service.blinded, &service.subcredential, keys.as_ref(), now)?;
    let key = secret.map(ClientKey::from_bytes);
    let ours = decode(document.as_bytes(), &service.onion, service.period, key.as_ref(), now)?;
    compare_points(theirs.intro_points(), &ours.intro_points)?;
    compare_flow_control(&theirs, ours.flow_control.as_ref())?;
    ensure!(u64::from(theirs.revision()) == ours.revision, "revisions differ");
    ensure!(theirs.is_single_onion_service() == ours.single_onion, "single-onion-service differs");
    if secret.is_some() {
        ensure!(read(document, &service.blinded, &service.subcredential, None, now).is_err());
        ensure!(decode(document.as_bytes(), &service.onion, service.period, None, now).is_err());
    }
    Ok(())
}
