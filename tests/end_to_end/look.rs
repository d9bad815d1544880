//! Same checks, two subjects: what a frontend and a plain C tor service of one network show must look alike.
//!
//! The numbers of the rows are those of the project's list of what could tell a frontend from an ordinary service.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::Service;
use onionkeep_tests::descriptor::Opened;
use onionkeep_tests::look::moment::Between;
use onionkeep_tests::look::rows::{self, Subject};
use onionkeep_tests::stage::{HSDIRS, Stage};
use onionkeep_tests::tornet::{Backend, ServiceKind};
use onionkeep_tests::wait::{self, Seen};

/// Until something has been published and found.
const LIMIT: Duration = Duration::from_secs(90);
/// What a C tor service has by default.
const POINTS: u8 = 3;

/// Compares them field by field.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let mut plain = Backend::start(&stage.network, "plain", ServiceKind::Plain)?;
    plain.wait_published(LIMIT)?;
    let ordinary = Subject::new("C tor", collect(stage, plain.address())?);

    let address = stage.address.clone();
    limit_points(stage, Some("ordinary"), Some(POINTS))?;
    let first = Subject::new("frontend", collect(stage, &address)?);
    let status = stage.publisher.status()?;
    restart(stage)?;
    let second = Subject::new("frontend after another upload", collect_newer(stage, &address, &first)?);

    let mut found = Vec::new();
    for subject in [&ordinary, &first, &second] {
        found.extend(rows::one(subject)?);
    }
    found.extend(rows::pair(&ordinary, &first)?);
    found.extend(rows::over_time(&first, &second)?);
    found.extend(rows::intervals(&status, &stage.publisher.status()?)?);
    ensure!(found.is_empty(), "a frontend can be told from a C tor service:\n  {}", found.join("\n  "));
    stage.report.reached("rows 1-5, 7-13, 15, 19, 22: nothing tells the frontend from a C tor service");
    compare(stage, &address, &[], 0)?;
    compare(stage, plain.address(), &[], 0)?;
    // One point less than a C tor service can have.
    limit_points(stage, Some("wide"), Some(POINTS - 1))?;
    collect_newer(stage, &address, &second)?;
    compare(stage, &address, &["14 "], 4)?;
    stage.report.reached(
        "compare: same for the frontend and a C tor service, and it tells a frontend that lists fewer points",
    );
    let mode = stage.service().mode;
    limit_points(stage, mode, None)
}

/// What an operator sees of a live service by `compare`: its exit code, and the rows of which it says that they differ.
fn compare(stage: &Stage, address: &str, rows: &[&str], code: i32) -> Result<()> {
    let ran = stage.publisher.run(&["compare", "--onion", address])?;
    let differs: Vec<_> = ran.stdout.lines().filter(|line| line.contains(": differs: ")).collect();
    let expected = differs.len() == rows.len()
        && rows.iter().all(|row| differs.iter().any(|line| line.starts_with(row)));
    ensure!(
        ran.code == code && expected,
        "compare --onion {address}, exit code {}:\n{}{}",
        ran.code,
        ran.stdout,
        ran.stderr
    );
    Ok(())
}

/// The descriptors at all HSDirs, as soon as all have one of the same revision.
pub(crate) fn collect(stage: &mut Stage, address: &str) -> Result<BTreeMap<String, Opened>> {
    wait::until("one descriptor at all HSDirs", LIMIT, || {
        let held = stage.look_at(address)?;
        let newest = held.values().map(|opened| opened.revision).max();
        let same = held.values().filter(|opened| Some(opened.revision) == newest).count();
        Ok(if same == HSDIRS {
            Seen::Ready(held)
        } else {
            Seen::NotYet(format!("{same} HSDirs have the newest"))
        })
    })
}

/// [`collect`], but of an upload after the one in `before`.
fn collect_newer(stage: &mut Stage, address: &str, before: &Subject) -> Result<BTreeMap<String, Opened>> {
    wait::until("another upload", LIMIT, || {
        let held = collect(stage, address)?;
        let newer = held.values().all(|opened| opened.revision > before.any().revision);
        Ok(if newer { Seen::Ready(held) } else { Seen::NotYet("the old one".into()) })
    })
}

/// Restarts the publisher with a mode and a number of points.
fn limit_points(stage: &mut Stage, mode: Option<&'static str>, points: Option<u8>) -> Result<()> {
    let service = Service { mode, max_points: points, ..stage.service() };
    stage.publisher.serve(vec![service])?;
    restart(stage)
}

/// A new start means a new full set of uploads.
fn restart(stage: &mut Stage) -> Result<()> {
    crate::publisher::restart(stage).map(drop)
}

/// The rows can tell: C tor's own descriptor passes (all but the row about time), and each alteration is found.
pub(crate) fn rows_can_tell() -> Result<()> {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/descriptors.json"))?;
    let entries = vectors["descriptors"].as_array().context("no list of descriptors")?;
    let entry = entries.iter().find(|entry| entry["name"] == "ctor_plain").context("no such descriptor")?;
    let address = format!("{}.onion", entry["address"].as_str().context("no address")?);
    let original = Opened::new(&address, include_str!("../vectors/ctor_plain.desc.txt"))?;
    let odd =
        |opened: Opened| rows::one(&Subject::new("a vector", BTreeMap::from([(String::new(), opened)])));
    let accepted = odd(original.clone())?;
    ensure!(accepted.iter().all(|row| row.starts_with("row 3,")), "C tor is told from itself: {accepted:?}");
    certificate_can_tell(&original)?;
    for (row, altered) in alterations(&original)? {
        let found = odd(altered)?;
        ensure!(
            found.iter().any(|one| one.starts_with(&format!("row {row},"))),
            "row {row} sees nothing: {found:?}"
        );
    }
    Ok(())
}

/// Row 3: C tor's own certificate fits the hour of its upload, also where the hour's turn lies between the moments at which it can have been made,
/// and no certificate that ends an hour earlier or later fits where it does not.
fn certificate_can_tell(original: &Opened) -> Result<()> {
    let odd = |expires: u32, earliest: f64, latest: f64| -> Result<bool> {
        let opened = Opened { expires, ..original.clone() };
        let held = BTreeMap::from([(String::new(), opened)]);
        let found = rows::one(&Subject::uploaded("a vector", held, Between { earliest, latest }))?;
        Ok(found.iter().any(|row| row.starts_with("row 3,")))
    };
    let own = original.expires;
    // The full hour up to which C tor makes this certificate.
    let turn = f64::from(own - 54) * 3600.0;
    for (earliest, latest, fitting) in [
        (turn - 1800.0, turn - 1500.0, vec![own]),
        (turn - 3500.0, turn, vec![own]),
        (turn - 100.0, turn + 200.0, vec![own, own + 1]),
        (turn - 3700.0, turn - 3400.0, vec![own - 1, own]),
    ] {
        for expires in own - 2..=own + 2 {
            let wanted = !fitting.contains(&expires);
            ensure!(
                odd(expires, earliest, latest)? == wanted,
                "row 3, an end {expires} beside {own}, made {earliest} to {latest} with {turn}: odd is not {wanted}"
            );
        }
    }
    Ok(())
}

/// Descriptors as another program might write them, each with the row that must notice.
fn alterations(original: &Opened) -> Result<Vec<(u8, Opened)>> {
    let inner = |from: &str, to: &str| -> Result<Opened> {
        let inner = original.inner_text()?.replacen(from, to, 1).into_bytes();
        Ok(Opened { inner, ..original.clone() })
    };
    let outer =
        |from: &str, to: &str| Opened { outer: original.outer.replacen(from, to, 1), ..original.clone() };
    let mut padded_otherwise = original.clone();
    padded_otherwise.middle.resize(10_240, 0);
    let mut line_end = original.clone();
    line_end.middle[original.middle_text()?.len()] = b'\n';
    let middle_text = original.middle_text()?;
    let fewer_clients =
        middle_text.lines().filter(|line| !line.starts_with("auth-client")).collect::<Vec<_>>();
    let first_point = original.points()?[0].to_owned();
    Ok(vec![
        (1, padded_otherwise),
        (7, outer("descriptor-lifetime 180", "descriptor-lifetime 60")),
        (7, outer("revision-counter", "proto x\nrevision-counter")),
        (8, line_end),
        (9, Opened { middle: fewer_clients.join("\n").into_bytes(), ..original.clone() }),
        (11, inner("flow-control 1-2 31\n", "")?),
        (12, Opened { expires: original.expires + 1, ..original.clone() }),
        (13, inner("onion-key ntor", "proto x\nonion-key ntor")?),
        (19, inner(&first_point, &format!("{first_point}{first_point}"))?),
    ])
}
