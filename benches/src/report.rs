//! What a run says: tables of measurements and required figures with PASS or FAIL, in Markdown.

use std::fmt;

use crate::verifier::Tally;

/// The bound that a figure must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Passes up to this value.
    AtMost(f64),
    /// Passes from this value on.
    AtLeast(f64),
}

/// One required figure: a ratio, or a number where the requirement is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What is required.
    pub name: String,
    /// What was measured.
    pub measured: f64,
    /// The requirement.
    pub bound: Bound,
    /// Stands behind both numbers.
    pub unit: &'static str,
}

/// The result of one subcommand.
#[derive(Debug, Default)]
pub struct Section {
    /// Heading.
    pub title: &'static str,
    /// How it was measured, in a sentence or two.
    pub note: String,
    /// Column heads.
    pub columns: Vec<&'static str>,
    /// One row a measurement.
    pub rows: Vec<Vec<String>>,
    /// The requirements it answers.
    pub figures: Vec<Figure>,
}

impl Figure {
    /// A figure that must not exceed `bound`.
    pub fn at_most(name: impl Into<String>, measured: f64, bound: f64, unit: &'static str) -> Self {
        Self { name: name.into(), measured, bound: Bound::AtMost(bound), unit }
    }

    /// A figure that must reach `bound`.
    pub fn at_least(name: impl Into<String>, measured: f64, bound: f64, unit: &'static str) -> Self {
        Self { name: name.into(), measured, bound: Bound::AtLeast(bound), unit }
    }

    /// Zero faults in order or completeness.
    pub fn faultless(name: impl Into<String>, tally: Tally) -> Self {
        let Tally { in_order: _, missing, doubles, reordered, foreign, ended } = tally;
        let faults = missing + doubles + reordered + foreign + ended;
        Self::at_most(name, faults as f64, 0.0, " faults")
    }

    /// Whether the requirement is met; a measurement that failed (NaN) never meets it.
    pub fn passes(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.measured <= bound,
            Bound::AtLeast(bound) => self.measured >= bound,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, bound) = match self.bound {
            Bound::AtMost(bound) => ("≤", bound),
            Bound::AtLeast(bound) => ("≥", bound),
        };
        let verdict = if self.passes() { "PASS" } else { "**FAIL**" };
        let unit = self.unit;
        let measured = number(self.measured);
        let bound = number(bound);
        let name = &self.name;
        write!(formatter, "| {name} | {measured}{unit} | {sign} {bound}{unit} | {verdict} |")
    }
}

impl fmt::Display for Section {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "### {}\n\n{}\n", self.title, self.note)?;
        writeln!(formatter, "| {} |", self.columns.join(" | "))?;
        let rule: String = self.columns.iter().map(|_| "---|").collect();
        writeln!(formatter, "|{rule}")?;
        for row in &self.rows {
            writeln!(formatter, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

/// All required figures of some sections as one table.
pub fn figures_table(sections: &[Section]) -> String {
    let mut table = String::from("| required figure | measured | required | |\n|---|---|---|---|\n");
    for figure in sections.iter().flat_map(|section| &section.figures) {
        table.push_str(&format!("{figure}\n"));
    }
    table
}

/// A number with about three significant digits.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{value:.digits$}");
    if value.abs() < 1000.0 { plain } else { with_separators(&plain) }
}

fn with_separators(digits: &str) -> String {
    let mut out = String::new();
    for (index, character) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && character.is_ascii_digit() && !out.ends_with('-') {
            out.push(',');
        }
        out.push(character);
    }
    out
}

/// The middle of some measurements; NaN without any.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, median, number};

    #[test]
    fn a_figure_passes_on_its_bound_and_fails_when_nothing_was_measured() {
        assert!(Figure::at_most("a", 1.25, 1.25, "").passes());
        assert!(!Figure::at_most("a", 1.26, 1.25, "").passes());
        assert!(Figure::at_least("a", 4.0, 4.0, "").passes());
        assert!(!Figure::at_least("a", f64::NAN, 4.0, "").passes());
        assert!(!Figure::at_most("a", f64::NAN, 4.0, "").passes());
    }

    #[test]
    fn numbers_keep_three_digits_and_thousands_are_parted() {
        let shown: Vec<String> =
            [0.0, 0.0123, 1.2345, 45.67, 999.4, 1_234_567.0, -1_234.0].into_iter().map(number).collect();
        assert_eq!(shown, ["0", "0.012", "1.23", "45.7", "999", "1,234,567", "-1,234"]);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
