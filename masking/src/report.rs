//! What the simulated traces show, as a table and as a picture.

use crate::{
    leakage::{LIMIT, Sample, greatest},
    machine::MODELS,
};
use anyhow::{Context as _, Result, anyhow, ensure};
use plotters::{coord::Shift, prelude::*};
use std::fmt::{Display, Write as _};

/// What was found in the traces of an experiment.
pub struct Outcome {
    /// What was simulated.
    pub what: String,
    /// How many traces.
    pub traces: u64,
    /// All samples.
    pub samples: Vec<Sample>,
}

const BEGIN: &str = "<!-- leakage begin -->\n";
const END: &str = "<!-- leakage end -->\n";

/// Replaces the table in a text.
///
/// # Errors
/// If the text does not have one place for it.
pub fn with_table(text: &str, outcomes: &[Outcome]) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("the text has no line {BEGIN:?}"))?;
    let (_, after) =
        rest.split_once(END).with_context(|| format!("the text has no line {END:?} after it"))?;
    ensure!(!after.contains(BEGIN), "the text has two places for the table");
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(outcomes)))
}

/// The greatest |t| of each experiment in each model.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let names: Vec<String> = MODELS.iter().map(|model| format!("{model:?}").to_lowercase()).collect();
    let mut text = format!("| | traces | samples | above {LIMIT} | {} |\n", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "--:|".repeat(3 + MODELS.len()));
    for Outcome { what, traces, samples } in outcomes {
        let above = samples.iter().filter(|sample| sample.t.abs() > LIMIT).count();
        let _ = write!(text, "| {what} | {traces} | {} | {above} |", samples.len());
        for model in MODELS {
            let of_model: Vec<Sample> =
                samples.iter().copied().filter(|sample| sample.model == model).collect();
            let _ = write!(text, " {:.1} |", greatest(&of_model));
        }
        text.push('\n');
    }
    text
}

/// The points of a curve.
const POINTS: usize = 960;
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
const PANEL: u32 = 210;

/// The greatest |t| over time, a panel for each experiment.
///
/// # Errors
/// If it cannot be drawn.
pub fn svg(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::new();
    {
        let size = (1032, PANEL * outcomes.len().max(1) as u32);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(drawing)?;
        for (area, outcome) in root.split_evenly((outcomes.len().max(1), 1)).iter().zip(outcomes) {
            panel(area, outcome).map_err(drawing)?;
        }
        root.present().map_err(drawing)?;
    }
    Ok(text)
}

/// Errors of plotters cannot go to another thread.
fn drawing(error: impl Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// The greatest |t| in each part of the time.
fn curve(samples: &[Sample], end: u64) -> Vec<f64> {
    let mut curve = vec![0.0_f64; POINTS];
    for sample in samples {
        let point = &mut curve[(sample.instruction * POINTS as u64 / end) as usize];
        *point = point.max(sample.t.abs());
    }
    curve
}

fn panel<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    Outcome { what, traces, samples }: &Outcome,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    let end = samples.last().map_or(1, |sample| sample.instruction + 1);
    let curve = curve(samples, end);
    // Where both variances are zero, t is infinite.
    let most = curve.iter().copied().filter(|t| t.is_finite()).fold(LIMIT, f64::max) * 1.02;
    let mut chart = ChartBuilder::on(area)
        .margin_right(24)
        .caption(format!("{what}: greatest |t|, {traces} traces"), (FONT, 13))
        .set_label_area_size(LabelAreaPosition::Left, 48)
        .set_label_area_size(LabelAreaPosition::Bottom, 28)
        .build_cartesian_2d(0..end, 0.0..most)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 12))
        .x_desc("instructions on data")
        .draw()?;
    let time = |point: usize| point as u64 * end / POINTS as u64;
    let points = curve.iter().enumerate().map(|(point, t)| (time(point), t.min(most)));
    chart.draw_series(LineSeries::new(points, RGBColor(0x00, 0x72, 0xB2)))?;
    chart.draw_series(LineSeries::new([(0, LIMIT), (end, LIMIT)], RGBColor(0xD5, 0x5E, 0x00)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Model;

    fn outcome() -> Outcome {
        let samples = [(Model::Value, 0, 1.0), (Model::Bus, 0, -7.5), (Model::Bus, 1, 2.0)];
        let samples = samples.map(|(model, instruction, t)| Sample { model, instruction, t });
        Outcome { what: "x".to_owned(), traces: 64, samples: samples.into() }
    }

    #[test]
    fn the_table_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}b\n");
        let text = with_table(&text, &[outcome()]).unwrap();
        assert!(text.starts_with("a\n") && text.ends_with("b\n") && !text.contains("old"));
        assert!(text.contains("| x | 64 | 3 | 1 | 1.0 | 0.0 | 0.0 | 0.0 | 7.5 |\n"), "{text}");
        assert!(with_table("a\n", &[]).is_err() && with_table(&format!("{END}{BEGIN}"), &[]).is_err());
    }

    #[test]
    fn the_picture_shows_the_greatest() {
        let curve = curve(&outcome().samples, 2);
        assert_eq!((curve[0], curve[1], curve[POINTS / 2]), (7.5, 0.0, 2.0));
        let text = svg(&[outcome(), outcome()]).unwrap();
        assert_eq!(text.matches("x: greatest |t|, 64 traces").count(), 2, "{text}");
        assert!(text.matches("<polyline").count() >= 4, "{text}");
    }
}
