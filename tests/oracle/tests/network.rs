//! tor-hscrypto blinds keys and counts periods as we do; tor-netdir builds the same ring.

use anyhow::{Context, Result, ensure};
use onionkeep_common::{Minutes, OnionAddress, PeriodLength, PeriodNumber, PeriodRule, TimePeriod, UnixTime};
use onionkeep_oracle::*;
use onionkeep_publisher::consensus::{Consensus, Fingerprint};
use onionkeep_publisher::ring::Ring;
use std::time::Duration;
use tor_checkable::{ExternallySigned, TimeBound};
use tor_hscrypto::pk::{HsBlindId, HsId, HsIdKey};
use tor_hscrypto::time::TimePeriod as TheirPeriod;
use tor_linkspec::HasRelayIds;
use tor_netdir::{MdReceiver, PartialNetDir};
use tor_netdoc::AllowAnnotations;
use tor_netdoc::doc::microdesc::MicrodescReader;
use tor_netdoc::doc::netstatus::MdConsensus;

#[test]
fn blinded_keys_and_subcredentials_agree_for_a_thousand_periods() -> Result<()> {
    let rows = vectors("onion_address.json")?;
    let addresses: Vec<OnionAddress> = (rows["valid"].as_array().context("valid")?.iter())
        .map(|row| Ok(text(row, "address")?.parse()?))
        .collect::<Result<_>>()?;
    for step in 0..1000_u64 {
        let onion = &addresses[usize::try_from(step)? % addresses.len()];
        let length = PeriodLength::new(u32::try_from(1 + step * 37 % 14_400)?).context("length")?;
        let number = PeriodNumber(16_000 + step * 7919);
        let ours = Service::new(*onion, TimePeriod { number, length })?;
        let key = HsIdKey::try_from(HsId::from(*onion.identity().as_bytes()))?;
        let period = TheirPeriod::from_parts(length.minutes(), number.0, 720 * 60);
        let (blinded, subcredential) = key.compute_blinded_key(period)?;
        ensure!(blinded.id() == HsBlindId::from(*ours.blinded.as_bytes()), "blinded key of step {step}");
        ensure!(subcredential.as_ref() == &ours.subcredential.0, "subcredential of step {step}");
    }
    Ok(())
}

#[test]
fn period_numbers_and_starts_agree_at_a_thousand_times() -> Result<()> {
    for step in 0..1000_u64 {
        let length = u32::try_from([1440, 8, 30, 14_400][usize::try_from(step)? % 4])?;
        let rule =
            PeriodRule { length: PeriodLength::new(length).context("length")?, offset: Minutes(length / 2) };
        let time = UnixTime(1_460_000_000 + step * 1_234_567 + step % 3);
        let offset = Duration::from_secs(rule.offset.seconds());
        let theirs = TheirPeriod::new(Duration::from_secs(rule.length.seconds()), system_time(time), offset)?;
        let ours = rule.at(time);
        ensure!(theirs.interval_num() == ours.number.0, "number at {time:?}");
        ensure!(theirs.range()?.start == system_time(rule.start(ours.number)), "start at {time:?}");
    }
    Ok(())
}

#[test]
fn tor_netdir_builds_the_same_ring() -> Result<()> {
    for name in ["ring_srv_to_tp", "ring_tp_to_srv"] {
        let row = vectors(&format!("{name}.json"))?;
        let (consensus, microdescs) =
            (vector_file(&format!("{name}_consensus.txt"))?, vector_file(&format!("{name}_mds.txt"))?);
        let ours = Consensus::parse(consensus.as_bytes(), microdescs.as_bytes())?;
        let (_signed, _rest, unchecked) = MdConsensus::parse(&consensus)?;
        let checked =
            unchecked.dangerously_assume_timely().set_n_authorities(3).dangerously_assume_wellsigned();
        // In a testing network the period has 24 voting intervals, whatever the consensus says.
        let params = std::iter::once(("hsdir_interval".to_owned(), 8)).collect();
        let mut partial = PartialNetDir::new(checked, Some(&params));
        for microdesc in MicrodescReader::new(&microdescs, &AllowAnnotations::AnnotationsNotAllowed)? {
            ensure!(partial.add_microdesc(microdesc?.into_microdesc()), "an unwanted microdescriptor");
        }
        let netdir = partial.unwrap_if_sufficient().ok().context("not enough for tor-netdir")?;
        let onion: OnionAddress = text(&row, "address")?.parse()?;
        let schedule = ours.schedule(true);
        for role in [schedule.first, schedule.second] {
            let service = Service::new(onion, role.period)?;
            let theirs = (netdir.hs_all_time_periods().into_iter().map(|params| params.time_period()))
                .find(|period| period.interval_num() == role.period.number.0)
                .with_context(|| format!("{name}: tor-netdir has no ring for {:?}", role.period))?;
            let theirs: Vec<_> = netdir
                .hs_dirs_upload(HsBlindId::from(*service.blinded.as_bytes()), theirs)?
                .map(|relay| {
                    relay.rsa_identity().and_then(|id| id.as_bytes().try_into().ok()).map(Fingerprint)
                })
                .collect();
            let ring = Ring::new(&ours.hsdirs, role.period, &role.srv);
            let mine = ring.responsible(&service.blinded, ours.params.n_replicas, ours.params.spread_store);
            let mine: Vec<_> = mine.iter().map(|hsdir| Some(hsdir.fingerprint)).collect();
            ensure!(theirs == mine, "{name}: {theirs:?} and {mine:?}");
        }
    }
    Ok(())
}
