//! temporary
use onionkeep_tests::{Report, files::RunDir, tornet::*};
use std::time::Duration;
fn main() -> anyhow::Result<()> {
    let report = Report::new();
    let mut dir = RunDir::new()?;
    dir.keep();
    report.reached(&dir.path().display().to_string());
    let pace = match std::env::args().nth(1).as_deref() {
        Some("day") => Pace::Day,
        Some("20") => Pace::Short(20),
        _ => Pace::Short(10),
    };
    let mut network = Network::start(dir.path(), pace, 9, &report)?;
    let (mut client, mut backends) = std::thread::scope(|scope| {
        let client = scope.spawn(|| Client::start(&network, "client"));
        let backends: Vec<_> = (1..=3)
            .map(|i| {
                let n = &network;
                scope.spawn(move || Backend::start(n, &format!("b{i}"), ServiceKind::Plain))
            })
            .collect();
        let backends = backends.into_iter().map(|b| b.join().unwrap()).collect::<anyhow::Result<Vec<_>>>();
        anyhow::Ok((client.join().unwrap()?, backends?))
    })?;
    report.reached("client and backends started");
    for b in &mut backends {
        b.wait_published(Duration::from_secs(60))?;
        report.reached("published");
        let answer = client.get_patiently(b.address(), Duration::from_secs(60))?;
        report.reached(&format!("{answer:?}"));
    }
    let found = client.fetch_descriptors(&network, backends[0].address(), Duration::from_secs(10))?;
    report.reached(&format!(
        "{} descriptors: {:?}",
        found.len(),
        found.values().map(|d| d.len()).collect::<Vec<_>>()
    ));
    network.must_run()?;
    if std::env::var_os("HOLD").is_some() {
        std::thread::sleep(Duration::from_secs(1000));
    }
    Ok(())
}
