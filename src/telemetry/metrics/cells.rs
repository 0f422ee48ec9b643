//! What a metric keeps its value in, beside the counters and gauges of `prometheus_client`.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::histogram::{Histogram, Scale};
use super::labels::LabelSet;

/// A whole number that only grows.
pub type Counter = prometheus_client::metrics::counter::Counter<u64, AtomicU64>;

/// A whole number that goes up and down.
pub type Gauge = prometheus_client::metrics::gauge::Gauge<i64>;

/// Which labels a metric has, with their values.
pub trait Declared {
    /// Every label with its values; none unless said otherwise.
    #[must_use]
    fn labels() -> Vec<(&'static str, Vec<&'static str>)> {
        Vec::new()
    }
}

impl Declared for Counter {}
impl Declared for Gauge {}
impl<S: Scale> Declared for Histogram<S> {}
impl<const GROWS: bool> Declared for Reading<GROWS> {}

/// A metric for each combination of labels. All are there from the start, so none appears late, and
/// reaching one takes no lock.
#[derive(Debug)]
pub struct Labelled<L, M> {
    cells: Arc<[M]>,
    labels: PhantomData<L>,
}

impl<L: LabelSet, M: Default> Default for Labelled<L, M> {
    fn default() -> Self {
        Self { cells: (0..L::count()).map(|_| M::default()).collect(), labels: PhantomData }
    }
}

impl<L, M> Clone for Labelled<L, M> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells), labels: PhantomData }
    }
}

impl<L: LabelSet, M> Labelled<L, M> {
    /// The metric with these labels.
    #[must_use]
    pub fn of(&self, labels: L) -> &M {
        &self.cells[labels.index()]
    }
}

impl<L: LabelSet> Labelled<L, Counter> {
    /// The sum over all labels.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cells.iter().map(Counter::get).sum()
    }
}

impl<L: LabelSet, M> Declared for Labelled<L, M> {
    fn labels() -> Vec<(&'static str, Vec<&'static str>)> {
        L::declared()
    }
}

impl<L: LabelSet + Debug, M: EncodeMetric> EncodeMetric for Labelled<L, M> {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        for (index, cell) in self.cells.iter().enumerate() {
            cell.encode(encoder.encode_family(&L::pairs(index))?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.cells.first().map_or(MetricType::Unknown, M::metric_type)
    }
}

/// A number that somebody else measures, and that may be unknown: then it is not exported at all.
/// One that `GROWS` is exported as a counter, else as a gauge.
#[derive(Debug, Clone)]
pub struct Reading<const GROWS: bool> {
    /// The bits of a float; NaN = unknown.
    bits: Arc<AtomicU64>,
}

impl<const GROWS: bool> Default for Reading<GROWS> {
    fn default() -> Self {
        Self { bits: Arc::new(AtomicU64::new(f64::NAN.to_bits())) }
    }
}

impl<const GROWS: bool> Reading<GROWS> {
    /// Notes what was measured.
    pub fn set(&self, value: Option<f64>) {
        self.bits.store(value.unwrap_or(f64::NAN).to_bits(), Ordering::Relaxed);
    }

    fn value(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}

impl<const GROWS: bool> EncodeMetric for Reading<GROWS> {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        match GROWS {
            true => encoder.encode_counter::<NoLabelSet, f64, f64>(&self.value(), None),
            false => encoder.encode_gauge(&self.value()),
        }
    }

    fn metric_type(&self) -> MetricType {
        if GROWS { MetricType::Counter } else { MetricType::Gauge }
    }

    fn is_empty(&self) -> bool {
        self.value().is_nan()
    }
}

/// The version of the server, as a label of the number 1.
#[derive(Debug, Clone, Default)]
pub struct BuildInfo;

impl BuildInfo {
    const LABEL: (&'static str, &'static str) = ("version", env!("CARGO_PKG_VERSION"));
}

impl Declared for BuildInfo {
    fn labels() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![(Self::LABEL.0, vec![Self::LABEL.1])]
    }
}

impl EncodeMetric for BuildInfo {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        encoder.encode_info(&[Self::LABEL])
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Info
    }
}

/// Sets a counter to what somebody else has counted: never less than before.
pub fn set_counter(counter: &Counter, total: u64) {
    counter.inner().fetch_max(total, Ordering::Relaxed);
}

/// Sets a gauge.
pub fn set_gauge(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
