//! What `descriptor show` prints.

use super::*;

#[test]
fn golden_descriptor_is_shown_and_its_period_found() {
    let frontend = Frontend::golden();
    let text = text("golden_plain.desc.txt");
    let shown = show(text.as_bytes(), &frontend.onion, frontend.now, &[], None).unwrap();
    assert_eq!(shown["onion"], frontend.onion.to_string());
    assert_eq!(shown["period"]["number"], 20_000);
    assert_eq!(shown["period"]["length_minutes"], 1440);
    assert_eq!(shown["warnings"], serde_json::json!([]));
    assert_eq!(shown["outer"]["revision_counter"], 1_830_354_583);
    assert_eq!(shown["outer"]["certificate_expires"], "2024-10-06T22:00:00Z");
    assert_eq!(shown["middle"]["auth_client_lines"], 16);
    assert_eq!(shown["inner"]["flow_control"]["sendme_inc"], 31);
    let points = shown["inner"]["introduction_points"].as_array().unwrap();
    assert_eq!(points.len(), 3);
    assert_eq!(points[0]["relay_fingerprint"], "3B7A7029D01197A539173430AF2CD6FE140B5B68");
}

#[test]
fn expired_descriptor_is_shown_with_a_warning() {
    let frontend = Frontend::golden();
    let text = text("golden_plain.desc.txt");
    let warning = |now| {
        let shown = show(text.as_bytes(), &frontend.onion, now, &[], None).unwrap();
        shown["warnings"][0].as_str().unwrap().to_owned()
    };
    let years_later = frontend.now.plus(100_000_000);
    assert_eq!(warning(years_later), "expired: its certificate ended at 2024-10-06T22:00:00Z");
    let between = UnixTime(480_069 * 3600 + 1);
    assert_eq!(warning(between), "expired: the certificates of 3 introduction points have ended");
}

#[test]
fn descriptors_of_a_test_network_are_shown_with_their_period_length() {
    let vectors = vectors(include_str!("../../../../tests/vectors/descriptors.json"));
    for row in vectors["descriptors"].as_array().unwrap() {
        let Some(address) = row.get("address") else { continue };
        let onion = address.as_str().unwrap().parse().unwrap();
        let key = row.get("client_secret").map(|secret| ClientKey::from_bytes(octets(secret)));
        let length = period_of(row).length;
        let elsewhere = TimePeriod { number: PeriodNumber(1), length };
        let text = text(row["file"].as_str().unwrap());
        let shown = show(text.as_bytes(), &onion, UnixTime(0), &[elsewhere], key.as_ref()).unwrap();
        assert_eq!(shown["period"]["number"], row["time_period"], "{}", row["name"]);
    }
}

#[test]
fn a_broken_descriptor_is_shown_where_it_breaks() {
    let frontend = Frontend::golden();
    let other: OnionAddress = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid".parse().unwrap();
    let text = text("golden_plain.desc.txt");
    let error = show(text.as_bytes(), &other, frontend.now, &[], None).unwrap_err();
    assert!(matches!(error.fault, Fault::NoPeriod(tried) if tried >= 7), "{error}");
    let inner = frontend.inner(&[point(1)]).replacen("flow-control 1-2 31", "flow-control 1-2", 1);
    let forged = frontend.forge(&frontend.header(), &inner);
    let error = show(forged.as_bytes(), &frontend.onion, frontend.now, &[], None).unwrap_err();
    assert_eq!(error.to_string(), "inner layer, line 2 (flow-control): an argument is missing or malformed");
    let skipped = frontend.inner(&[point(1)]).replacen("enc-key ntor", "legacy-key\nenc-key ntor", 1);
    let forged = frontend.forge(&frontend.header(), &skipped);
    let shown = show(forged.as_bytes(), &frontend.onion, frontend.now, &[], None).unwrap();
    assert_eq!(shown["inner"]["skipped_points"][0]["reason"], "it has a legacy-key");
    assert_eq!(shown["warnings"].as_array().unwrap().len(), 2);
}
