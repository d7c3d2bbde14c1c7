//! The chart.

use anyhow::{Context, Result, anyhow};
use plotters::{
    coord::{Shift, combinators::BindKeyPoints as _},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{ASSOCIATED_DATA, compared};
use crate::{
    algorithms::{AES_OTR, MESSAGES, TWINE_OTR},
    results::{Results, Run},
    task::Operation::Seal,
};

const SIZE: (u32, u32) = (1040, 560);
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

/// The least distance of two names, in pixels.
const NAME_HEIGHT: i32 = 17;

/// One line of a plot.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) color: RGBColor,
    /// Lines of this project are thicker.
    pub(super) width: u32,
    pub(super) points: Vec<(f64, f64)>,
}

/// One of the plots of a chart, which are side by side.
pub(super) struct Plot<'a> {
    pub(super) title: String,
    /// In pixels.
    pub(super) width: u32,
    /// What is kept for the names of the lines, in pixels.
    pub(super) names_width: u32,
    pub(super) lines: Vec<Line<'a>>,
}

/// Cycles a byte by length: the default build beside its peers, and TWINE by backend.
///
/// # Errors
/// If `results` lacks something.
pub fn svg(results: &Results) -> Result<String> {
    let default = results.runs.iter().find(|run| !run.forced).context("no results of the default build")?;
    let mut peers = Vec::new();
    for algorithm in compared(default) {
        peers.push(Line {
            name: algorithm,
            color: color(algorithm),
            width: if algorithm.contains("OTR") { 4 } else { 2 },
            points: points(default, algorithm)?,
        });
    }
    let mut backends = Vec::new();
    for (run, color) in results.runs.iter().filter(|run| run.forced).zip(BACKENDS) {
        backends.push(Line { name: &run.backend, color, width: 3, points: points(run, TWINE_OTR)? });
    }

    let plots = [
        Plot {
            title: format!("Sealing, with {ASSOCIATED_DATA} bytes of associated data"),
            width: 620,
            names_width: 225,
            lines: peers,
        },
        Plot { title: format!("{TWINE_OTR} by backend"), width: 420, names_width: 75, lines: backends },
    ];
    let caption = format!("Less is better. {}, {}", results.machine.cpu, results.date);
    draw(&caption, &results.unit, &MESSAGES, &plots)
}

/// Draws `plots` with the same axes.
pub(super) fn draw(caption: &str, unit: &str, lengths: &[usize], plots: &[Plot<'_>]) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(drawing)?;
        root.draw(&Text::new(
            caption.to_owned(),
            (16, SIZE.1 as i32 - 8),
            style(14.0).pos(Pos::new(HPos::Left, VPos::Bottom)),
        ))
        .map_err(drawing)?;
        let all = || plots.iter().flat_map(|plot| &plot.lines).flat_map(|line| &line.points);
        let costs = || all().map(|point| point.1);
        let range = (costs().fold(f64::INFINITY, f64::min) * 0.8, costs().fold(0.0, f64::max) * 1.25);
        let mut rest = root.margin(8, 24, 8, 8);
        for each in plots {
            let (area, right) = rest.split_horizontally(each.width);
            plot(&area, unit, lengths, range, each)?;
            rest = right;
        }
        root.present().map_err(drawing)?;
    }
    Ok(text)
}

/// Told apart by those who cannot see all colors, too: by Okabe and Ito. One for each algorithm, whoever's the code is.
pub(super) fn color(algorithm: &str) -> RGBColor {
    match algorithm.split(',').next().unwrap_or(algorithm) {
        TWINE_OTR => RGBColor(0xD5, 0x5E, 0x00),
        AES_OTR => RGBColor(0x00, 0x72, 0xB2),
        crate::algorithms::ASCON => RGBColor(0x00, 0x9E, 0x73),
        crate::algorithms::CHACHA => RGBColor(0xCC, 0x79, 0xA7),
        "Schwaemm256-128" => RGBColor(0x00, 0x72, 0xB2),
        "Xoodyak" => RGBColor(0xE6, 0x9F, 0x00),
        crate::algorithms::AES_GCM => RGBColor(0x99, 0x99, 0x99),
        crate::algorithms::AES_CCM => RGBColor(0x66, 0x66, 0x66),
        _ => RGBColor(0x56, 0xB4, 0xE9),
    }
}

/// The same for backends, the slowest first.
const BACKENDS: [RGBColor; 4] = [
    RGBColor(0x99, 0x99, 0x99),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
];

fn points(run: &Run, algorithm: &str) -> Result<Vec<(f64, f64)>> {
    MESSAGES
        .into_iter()
        .map(|bytes| Ok((length(bytes), run.per_byte(algorithm, Seal, bytes, ASSOCIATED_DATA)?)))
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
pub(super) fn length(bytes: usize) -> f64 {
    bytes as f64
}

fn style(size: f64) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// The errors of the library borrow nothing, but are not all [`Send`].
fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws lines with both axes logarithmic and each name at the end of its line.
fn plot(
    area: &Area<'_>,
    unit: &str,
    lengths: &[usize],
    (low, high): (f64, f64),
    plot: &Plot<'_>,
) -> Result<()> {
    let Plot { title, names_width, lines, .. } = plot;
    let costs: Vec<f64> = [0.1, 1.0, 10.0, 100.0, 1000.0]
        .into_iter()
        .flat_map(|decade| [decade, 2.0 * decade, 5.0 * decade])
        .filter(|cost| (low..=high).contains(cost))
        .collect();
    let lengths: Vec<f64> = lengths.iter().copied().map(length).collect();
    let (first, last) = (lengths[0], lengths[lengths.len() - 1]);
    let mut chart = ChartBuilder::on(area)
        .caption(title, style(19.0))
        .x_label_area_size(44)
        .y_label_area_size(56)
        .margin_right(*names_width)
        .build_cartesian_2d(
            (first..last).log_scale().with_key_points(lengths.clone()),
            (low..high).log_scale().with_key_points(costs),
        )
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .x_labels(lengths.len())
        .y_labels(16)
        .x_label_formatter(&|bytes| match *bytes {
            bytes if bytes >= 2048.0 => format!("{} KiB", bytes / 1024.0),
            bytes => bytes.to_string(),
        })
        .y_label_formatter(&|cost| cost.to_string())
        .x_desc("bytes of message")
        .y_desc(format!("{unit} a byte"))
        .label_style(style(15.0))
        .axis_desc_style(style(16.0))
        .axis_style(INK)
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(drawing)?;

    let mut names = Vec::new();
    for line in lines {
        let stroke = line.color.stroke_width(line.width);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), stroke)).map_err(drawing)?;
        chart
            .draw_series(line.points.iter().map(|&point| Circle::new(point, line.width, line.color.filled())))
            .map_err(drawing)?;
        let end = line.points.last().context("a line has no points")?;
        let (x, y) = chart.backend_coord(end);
        names.push((x, y, line));
    }
    spread(&mut names);
    for (x, y, line) in names {
        let style = (FONT, 16.0).into_font().color(&line.color).pos(Pos::new(HPos::Left, VPos::Center));
        // Names are placed on the whole canvas, as the coordinates above are.
        let (left, top) = area.get_base_pixel();
        area.draw(&Text::new(line.name, (x + 10 - left, y - top), style)).map_err(drawing)?;
    }
    Ok(())
}

/// Moves names apart that would cover each other, in their order.
fn spread(names: &mut [(i32, i32, &Line<'_>)]) {
    names.sort_by_key(|name| name.1);
    // Each pass moves both of a pair by a pixel; names stay near their lines, as the moves are the least.
    for _ in 0..1000 {
        let mut is_apart = true;
        for i in 1..names.len() {
            if names[i].1 - names[i - 1].1 < NAME_HEIGHT {
                names[i - 1].1 -= 1;
                names[i].1 += 1;
                is_apart = false;
            }
        }
        if is_apart {
            break;
        }
    }
}
