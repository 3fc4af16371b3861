//! Draws curves on logarithmic axes.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// The cost of one server.
#[derive(Debug)]
pub struct Curve {
    pub name: &'static str,
    /// Nanoseconds of CPU time per delivered line, by the value on the axis.
    pub points: Vec<(usize, f64)>,
}

/// Colours that are visible on light and dark pages.
const COLOURS: [RGBColor; 3] = [RGBColor(120, 120, 120), RGBColor(200, 60, 30), RGBColor(40, 110, 200)];

/// Draws the curves into an SVG file.
pub fn draw(file: &Path, axis: &str, curves: &[Curve]) -> Result<()> {
    draw_chart(file, axis, curves).map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))
}

fn draw_chart(file: &Path, axis: &str, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most = points().map(|(at, _)| *at).max().unwrap_or(1);
    let (least_ns, most_ns) =
        points().fold((f64::MAX, 1.0), |(least, most): (f64, f64), (_, ns)| (least.min(*ns), most.max(*ns)));
    let area = SVGBackend::new(file, (800, 450)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("server's CPU for each line that reached a peer", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((1..most).log_scale(), (least_ns / 2.0..most_ns * 2.0).log_scale())?;
    chart.configure_mesh().x_desc(axis).y_desc("nanoseconds").light_line_style(TRANSPARENT).draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    area.present()?;
    Ok(())
}
