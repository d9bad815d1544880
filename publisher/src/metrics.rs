//! Metrics for Prometheus: their names and what each is made of. The only place that names the metrics library.
//!
//! Nothing is kept up to date for them: a scrape turns the status document and some counts into text. A name never
//! changes its meaning; `docs/operate/metrics.md` lists all, and a test compares it with what is written here.

mod meters;
mod place;
mod samples;
mod server;

pub use meters::{Asked, Fetched, Meters, Posted, Probes, Totals};
pub use place::{MetricsAddr, MetricsAddrError};
pub use server::{MetricsServer, Scraper};

use crate::status::Document;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// What a metric is, in the library's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that rises and falls.
    Gauge,
    /// A number that only rises, from 0 at each start; its samples end in `_total`.
    Counter,
    /// How long something took: `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// The word for documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }

    /// What the library calls it.
    const fn of_library(self) -> MetricType {
        match self {
            Self::Gauge => MetricType::Gauge,
            Self::Counter => MetricType::Counter,
            Self::Histogram => MetricType::Histogram,
        }
    }
}

/// One sample: the labels' values in the order of [`Metric::labels`], and the number.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// Of a gauge.
    Gauge(Vec<String>, f64),
    /// Of a counter.
    Counter(Vec<String>, f64),
    /// Of a histogram: sum, count, and how many were at most so long.
    Histogram(Vec<String>, f64, u64, Vec<(f64, u64)>),
}

/// One metric.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Its name, without `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, for people.
    pub help: &'static str,
    /// Its samples.
    samples: fn(&Scene) -> Vec<Sample>,
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Metric {
    /// The name of its samples in a query.
    #[must_use]
    pub fn sample_name(&self) -> String {
        format!("{}{}", self.name, if self.kind == Kind::Counter { "_total" } else { "" })
    }

    /// All of them, in the order in which they are written.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        samples::METRICS
    }
}

/// What a scrape is made of.
#[derive(Debug)]
pub struct Scene {
    /// The status document.
    pub document: Document,
    /// Counts of the publisher as a whole.
    pub totals: Totals,
    /// Counts of each service, in the document's order.
    pub meters: Vec<Meters>,
    /// The label of each service, in the document's order.
    pub labels: Vec<String>,
    /// Resident memory in octets and CPU time in seconds, if the system tells.
    pub process: Option<(u64, f64)>,
}

impl Scene {
    /// A document with its counts. Labels show addresses by their ends unless `full`.
    #[must_use]
    pub fn new(document: Document, totals: Totals, meters: Vec<Meters>, full: bool) -> Self {
        let addresses: Vec<_> = document.services.iter().map(|service| service.address.as_str()).collect();
        let labels = labels(&addresses, full);
        Self { document, totals, meters, labels, process: process() }
    }

    /// The exposition as `OpenMetrics` text.
    #[must_use]
    pub fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _always = text::encode(&mut text, &registry).is_ok();
        text
    }
}

impl Collector for Scene {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in samples::METRICS {
            let kind = metric.kind.of_library();
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for sample in (metric.samples)(self) {
                write(&mut family, metric.labels, &sample)?;
            }
        }
        Ok(())
    }
}

/// Writes one sample.
fn write(family: &mut MetricEncoder<'_>, names: &[&'static str], sample: &Sample) -> fmt::Result {
    let (Sample::Gauge(values, ..) | Sample::Counter(values, ..) | Sample::Histogram(values, ..)) = sample;
    let labels: Vec<(&str, &str)> = names.iter().copied().zip(values.iter().map(String::as_str)).collect();
    let mut one = family.encode_family(&labels)?;
    match sample {
        Sample::Gauge(_, value) => one.encode_gauge(value),
        Sample::Counter(_, value) => one.encode_counter::<NoLabelSet, _, f64>(value, None),
        Sample::Histogram(_, sum, count, buckets) => {
            one.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
        }
    }
}

/// How much of an address a label shows; more if two services end alike.
const SHOWN: usize = 8;

/// The labels of services: the ends of their addresses, all of equal length and no two the same.
fn labels(addresses: &[&str], full: bool) -> Vec<String> {
    if full {
        return addresses.iter().map(|address| (*address).to_owned()).collect();
    }
    let bare: Vec<_> = addresses.iter().map(|address| address.trim_end_matches(".onion")).collect();
    let ends = |length: usize| -> Vec<String> {
        let end = |text: &&str| text.get(text.len().saturating_sub(length)..).unwrap_or(text).to_owned();
        bare.iter().map(end).collect()
    };
    let differ = |labels: &Vec<String>| {
        let all: std::collections::BTreeSet<_> = labels.iter().collect();
        all.len() == labels.len()
    };
    (SHOWN..56).step_by(4).map(ends).find(differ).unwrap_or_else(|| ends(56))
}

/// Resident memory and CPU time of this process, from `/proc`.
fn process() -> Option<(u64, f64)> {
    /// What the kernel counts CPU time in, on every platform that we know.
    const TICKS: u64 = 100;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()?.saturating_add(ticks()?);
    let hundredths = u32::try_from(ticks.saturating_mul(100) / TICKS).unwrap_or(u32::MAX);
    Some((kilobytes.saturating_mul(1024), f64::from(hundredths) / 100.0))
}

#[cfg(test)]
mod tests;
