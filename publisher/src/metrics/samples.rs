//! Each metric: its name, its labels, what it says, and what its numbers are made of. The only place with the list.

use super::meters::BOUNDS;
use super::{Kind, Meters, Metric, Sample, Scene};
use crate::alarm::Name;
use crate::status::{BackendStatus, DescriptorStatus, ServiceStatus};

/// Labels of what is about one service.
const SERVICE: &[&str] = &["service"];
/// Labels of what is about one backend.
const BACKEND: &[&str] = &["service", "backend"];
/// Labels of what is about one descriptor.
const DESCRIPTOR: &[&str] = &["service", "descriptor"];
/// Labels of counts by result.
const RESULT: &[&str] = &["service", "result"];
/// The states of a backend.
const STATES: [&str; 6] = ["unknown", "up", "draining", "stale", "down", "missing"];

/// A gauge.
const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Scene) -> Vec<Sample>,
) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help, samples }
}

/// A counter.
const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Scene) -> Vec<Sample>,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help, samples }
}

/// All metrics.
pub(super) const METRICS: &[Metric] = &[
    gauge("onionkeep_info", &["version", "tor_version"], "Always 1; the versions.", |scene| {
        let tor = scene.document.tor.version.clone().unwrap_or_default();
        vec![Sample::Gauge(vec![scene.document.version.clone(), tor], 1.0)]
    }),
    gauge(
        "onionkeep_start_timestamp_seconds",
        &[],
        "When the publisher started; a change is a restart.",
        |scene| one(Some(scene.document.started)),
    ),
    gauge("onionkeep_resident_memory_bytes", &[], "Memory of the publisher.", |scene| {
        one(scene.process.map(|(octets, _seconds)| octets))
    }),
    counter("onionkeep_cpu_seconds", &[], "CPU time of the publisher.", |scene| {
        scene.process.map(|(_octets, seconds)| Sample::Counter(Vec::new(), seconds)).into_iter().collect()
    }),
    counter(
        "onionkeep_reloads",
        &["result"],
        "Reloads: `done`, or `refused` because the file was wrong.",
        |scene| {
            let totals = &scene.totals;
            counts(&[], &[("done", totals.reloads), ("refused", totals.reloads_refused)])
        },
    ),
    gauge(
        "onionkeep_alarms",
        &["alarm", "service"],
        "Alarms that are raised, by name; `service` is empty for those about the whole.",
        alarms,
    ),
    gauge("onionkeep_tor_up", &[], "1 if tor is connected and ready.", |scene| {
        one(Some(u64::from(scene.document.tor.state == "ready")))
    }),
    counter("onionkeep_tor_connections", &[], "Connections to tor's control port that were made.", |scene| {
        vec![Sample::Counter(Vec::new(), float(scene.totals.connections))]
    }),
    gauge(
        "onionkeep_consensus_valid_after_timestamp_seconds",
        &[],
        "From when tor's consensus is valid.",
        |scene| one(scene.document.tor.consensus_valid_after),
    ),
    gauge("onionkeep_hsdirs", &[], "HSDirs in the ring.", |scene| {
        one(Some(number(scene.document.tor.hsdirs)))
    }),
    gauge(
        "onionkeep_hsdirs_without_microdescriptor",
        &[],
        "HSDirs that are not in the ring because their microdescriptor is missing.",
        |scene| one(Some(number(scene.document.tor.hsdirs_without_microdescriptor))),
    ),
    gauge(
        "onionkeep_clock_skew_seconds",
        &[],
        "By how much our clock is ahead of the network's, negative if behind; 0 if nothing speaks against it.",
        |scene| {
            let skew = scene.document.tor.clock_skew.unwrap_or_default();
            let skew = i32::try_from(skew).unwrap_or(if skew < 0 { i32::MIN } else { i32::MAX });
            vec![Sample::Gauge(Vec::new(), f64::from(skew))]
        },
    ),
    counter("onionkeep_clock_jumps", &[], "Jumps of this machine's clock.", |scene| {
        vec![Sample::Counter(Vec::new(), float(scene.totals.clock_jumps))]
    }),
    gauge("onionkeep_service_info", &["service", "mode"], "Always 1; the service's mode.", |scene| {
        let info = |(label, service): (&String, &ServiceStatus)| {
            Sample::Gauge(vec![label.clone(), service.mode.clone()], 1.0)
        };
        scene.labels.iter().zip(&scene.document.services).map(info).collect()
    }),
    gauge(
        "onionkeep_signer_up",
        SERVICE,
        "1 if the signer gave the last certificate, 0 if it is away or refuses; absent if it was not asked.",
        |scene| {
            services(scene, |service| match service.signer.state.as_str() {
                "ok" => Some(1),
                "away" | "refused" => Some(0),
                _other => None,
            })
        },
    ),
    gauge(
        "onionkeep_certificate_timestamp_seconds",
        SERVICE,
        "When the signer or a bundle last gave a certificate.",
        |scene| services(scene, |service| service.signer.last_certificate),
    ),
    counter(
        "onionkeep_certificates",
        RESULT,
        "Asks for a certificate: `signer`, `bundle`, `bundle_instead` (the signer gave none), `refused`, `away`, `unusable`.",
        |scene| {
            meters(scene, |meters| {
                ["signer", "bundle", "bundle_instead", "refused", "away", "unusable"]
                    .into_iter()
                    .zip(meters.asked)
                    .collect()
            })
        },
    ),
    Metric {
        name: "onionkeep_signer_seconds",
        kind: Kind::Histogram,
        labels: SERVICE,
        help: "How long the signer took, whatever it answered.",
        samples: waits,
    },
    gauge(
        "onionkeep_bundle_covered_until_timestamp_seconds",
        SERVICE,
        "Until when bundles have certificates.",
        |scene| services(scene, |service| service.bundles.as_ref()?.covered_until),
    ),
    gauge("onionkeep_bundle_left_percent", SERVICE, "What is left of the bundles' time.", |scene| {
        services(scene, |service| service.bundles.as_ref().map(|bundles| bundles.percent_left))
    }),
    gauge(
        "onionkeep_bundle_slots",
        SERVICE,
        "Slots of bundles that are not over and whose keys are here.",
        |scene| services(scene, |service| service.bundles.as_ref().map(|bundles| number(bundles.slots))),
    ),
    gauge(
        "onionkeep_backends",
        &["service", "state"],
        "Backends: `unknown`, `up`, `draining`, `stale`, `down`, `missing`.",
        states,
    ),
    gauge("onionkeep_backend_up", BACKEND, "1 if the backend's points may be listed.", |scene| {
        backends(scene, |backend| Some(u64::from(matches!(backend.state.as_str(), "up" | "draining"))))
    }),
    gauge("onionkeep_backend_points", BACKEND, "Introduction points that the backend offers.", |scene| {
        backends(scene, |backend| Some(number(backend.points)))
    }),
    gauge(
        "onionkeep_backend_listed_points",
        BACKEND,
        "How many of them the descriptor lists that clients ask for now.",
        |scene| backends(scene, |backend| Some(number(backend.listed))),
    ),
    gauge("onionkeep_backend_weight", BACKEND, "Its weight.", |scene| {
        backends(scene, |backend| Some(u64::from(backend.weight)))
    }),
    gauge(
        "onionkeep_backend_share_ppm",
        BACKEND,
        "Its share of the clients that come now, in millionths.",
        |scene| backends(scene, |backend| Some(backend.share)),
    ),
    gauge(
        "onionkeep_backend_uploaded_timestamp_seconds",
        BACKEND,
        "When the backend last uploaded its descriptor, as far as its counter tells.",
        |scene| backends(scene, |backend| backend.uploaded),
    ),
    gauge(
        "onionkeep_backend_fetched_timestamp_seconds",
        BACKEND,
        "When an HSDir last gave a good descriptor of it.",
        |scene| backends(scene, |backend| backend.fetched),
    ),
    counter(
        "onionkeep_fetches",
        RESULT,
        "Fetches of backends' descriptors at one HSDir: `good`, `replayed` (refused), `not_found`, `failed`.",
        |scene| {
            meters(scene, |meters| {
                ["good", "replayed", "not_found", "failed"].into_iter().zip(meters.fetched).collect()
            })
        },
    ),
    counter(
        "onionkeep_probes",
        RESULT,
        "Probes of backends: `up`, `down`, `no_socks` (tor's SOCKS port did not do its part), `no_turn` (too many others were under way for too long).",
        |scene| {
            meters(scene, |meters| {
                ["up", "down", "no_socks", "no_turn"].into_iter().zip(meters.probes).collect()
            })
        },
    ),
    gauge("onionkeep_descriptor_hsdirs", DESCRIPTOR, "HSDirs that should hold the descriptor.", |scene| {
        descriptors(scene, |desc| Some(number(desc.hsdirs.len())))
    }),
    gauge(
        "onionkeep_descriptor_hsdirs_holding",
        DESCRIPTOR,
        "HSDirs that have confirmed the last upload.",
        |scene| descriptors(scene, |desc| Some(number(holding(desc)))),
    ),
    gauge("onionkeep_descriptor_points", DESCRIPTOR, "Introduction points in the last upload.", |scene| {
        descriptors(scene, |desc| Some(number(desc.points)))
    }),
    gauge("onionkeep_descriptor_bytes", DESCRIPTOR, "Length of the last upload's longest copy.", |scene| {
        descriptors(scene, |desc| Some(number(desc.octets)))
    }),
    gauge(
        "onionkeep_descriptor_size_class",
        DESCRIPTOR,
        "Blocks of 10000 octets that it was padded to; most services have 1.",
        |scene| descriptors(scene, |desc| Some(number(desc.blocks))),
    ),
    gauge(
        "onionkeep_descriptor_uploaded_timestamp_seconds",
        DESCRIPTOR,
        "When it was last uploaded.",
        |scene| descriptors(scene, |desc| desc.uploaded),
    ),
    gauge(
        "onionkeep_descriptor_stored_timestamp_seconds",
        DESCRIPTOR,
        "When an HSDir last confirmed an upload.",
        |scene| descriptors(scene, |desc| desc.hsdirs.iter().filter_map(|hsdir| hsdir.stored_at).max()),
    ),
    gauge(
        "onionkeep_descriptor_next_upload_timestamp_seconds",
        DESCRIPTOR,
        "When it is uploaded next.",
        |scene| descriptors(scene, |desc| desc.next_upload),
    ),
    gauge(
        "onionkeep_descriptor_certificate_end_timestamp_seconds",
        DESCRIPTOR,
        "When its certificate ends.",
        |scene| descriptors(scene, |desc| desc.certificate_expires),
    ),
    counter(
        "onionkeep_uploads",
        RESULT,
        "Uploads to one HSDir: `stored`, `rejected` (it has a newer one or finds ours wrong), `failed`.",
        |scene| {
            meters(scene, |meters| ["stored", "rejected", "failed"].into_iter().zip(meters.posted).collect())
        },
    ),
];

/// A count as a number that never fails.
fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A number as a gauge has it: exact up to 2^53.
#[expect(
    clippy::as_conversions,
    reason = "there is no other way from u64 to f64, and times and counts are far below 2^53"
)]
const fn float(number: u64) -> f64 {
    number as f64
}

/// A metric without labels.
fn one(value: Option<u64>) -> Vec<Sample> {
    value.map(|value| Sample::Gauge(Vec::new(), float(value))).into_iter().collect()
}

/// Counts by result.
fn counts(labels: &[&String], counts: &[(&str, u64)]) -> Vec<Sample> {
    let sample = |(result, count): &(&str, u64)| {
        let labels = labels.iter().map(|label| (*label).clone()).chain([(*result).to_owned()]);
        Sample::Counter(labels.collect(), float(*count))
    };
    counts.iter().map(sample).collect()
}

/// A number of each service that has it.
fn services(scene: &Scene, value: impl Fn(&ServiceStatus) -> Option<u64>) -> Vec<Sample> {
    let services = scene.labels.iter().zip(&scene.document.services);
    let sample = |(label, service): (&String, &ServiceStatus)| {
        value(service).map(|value| Sample::Gauge(vec![label.clone()], float(value)))
    };
    services.filter_map(sample).collect()
}

/// A number of each backend that has it.
fn backends(scene: &Scene, value: impl Fn(&BackendStatus) -> Option<u64>) -> Vec<Sample> {
    let services = scene.labels.iter().zip(&scene.document.services);
    let all =
        services.flat_map(|(label, service)| service.backends.iter().map(move |backend| (label, backend)));
    let sample = |(label, backend): (&String, &BackendStatus)| {
        value(backend).map(|value| Sample::Gauge(vec![label.clone(), backend.name.clone()], float(value)))
    };
    all.filter_map(sample).collect()
}

/// A number of each descriptor that has it.
fn descriptors(scene: &Scene, value: impl Fn(&DescriptorStatus) -> Option<u64>) -> Vec<Sample> {
    let services = scene.labels.iter().zip(&scene.document.services);
    let all = services.flat_map(|(label, service)| service.descriptors.iter().map(move |desc| (label, desc)));
    let sample = |(label, desc): (&String, &DescriptorStatus)| {
        value(desc).map(|value| Sample::Gauge(vec![label.clone(), desc.role.clone()], float(value)))
    };
    all.filter_map(sample).collect()
}

/// Counts of each service by result.
fn meters(scene: &Scene, of: impl Fn(&Meters) -> Vec<(&'static str, u64)>) -> Vec<Sample> {
    scene.labels.iter().zip(&scene.meters).flat_map(|(label, meters)| counts(&[label], &of(meters))).collect()
}

/// How many HSDirs have confirmed the last upload.
fn holding(desc: &DescriptorStatus) -> usize {
    let current = desc.hsdirs.iter().filter(|hsdir| hsdir.stored_revision.is_some());
    current.filter(|hsdir| hsdir.stored_revision >= desc.revision).count()
}

/// Alarms by name and service, each name always there.
fn alarms(scene: &Scene) -> Vec<Sample> {
    let raised = |name: Name, service: Option<&str>| {
        let fits = |alarm: &&crate::status::AlarmStatus| {
            alarm.name == name.word() && alarm.service.as_deref() == service
        };
        float(number(scene.document.alarms.iter().filter(fits).count()))
    };
    let mut samples = Vec::new();
    for name in Name::ALL {
        if !name.is_of_service() {
            samples.push(Sample::Gauge(vec![name.word().to_owned(), String::new()], raised(name, None)));
            continue;
        }
        for (label, service) in scene.labels.iter().zip(&scene.document.services) {
            let labels = vec![name.word().to_owned(), label.clone()];
            samples.push(Sample::Gauge(labels, raised(name, Some(&service.address))));
        }
    }
    samples
}

/// Backends by state, each state always there.
fn states(scene: &Scene) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (label, service) in scene.labels.iter().zip(&scene.document.services) {
        for state in STATES {
            let count = service.backends.iter().filter(|backend| backend.state == state).count();
            samples.push(Sample::Gauge(vec![label.clone(), state.to_owned()], float(number(count))));
        }
    }
    samples
}

/// How long the signer took.
fn waits(scene: &Scene) -> Vec<Sample> {
    let bounds = || BOUNDS.into_iter().chain([f64::INFINITY]);
    let sample = |(label, meters): (&String, &Meters)| {
        let buckets: Vec<_> = bounds().zip(meters.waits).collect();
        let count = meters.waits.iter().sum();
        Sample::Histogram(vec![label.clone()], meters.waited.as_secs_f64(), count, buckets)
    };
    scene.labels.iter().zip(&scene.meters).map(sample).collect()
}
