//! A report as one HTML page that needs nothing else: no script, no font, no picture, no network.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::tree::{Axis, Block, Cell, Chart, Form, Report, Table};
use super::{colour, confusion_svg};

/// Everything that the page looks like: on a screen, on a phone, on paper.
const STYLE: &str = include_str!("page.css");

/// Lines of a chart, told apart by colour-blind readers too (Okabe & Ito 2008).
const LINES: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];

fn text(words: &str) -> String {
    let words: String = words.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    escape(&words).into_owned()
}

fn is_words(form: Form) -> bool {
    matches!(form, Form::Text | Form::File)
}

fn table(out: &mut String, table: &Table) {
    let _ = write!(out, "<figure id=\"{}\"><figcaption>{}</figcaption>", text(&table.id), text(&table.caption));
    out.push_str("<div class=\"wide\"><table><thead><tr>");
    for column in &table.columns {
        let class = if is_words(column.form) { "words" } else { "number" };
        let unit = match column.form {
            Form::Percent => " <small>%</small>",
            Form::Points => " <small>points</small>",
            _ => "",
        };
        let _ = write!(out, "<th scope=\"col\" class=\"{class}\">{}{unit}</th>", text(&column.title));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (cell, column) in row.iter().zip(&table.columns) {
            let (words, interval) = cell.written(column.form);
            let class = match (column.form, cell) {
                (Form::File, _) => "file",
                (Form::Text, _) | (_, Cell::Text(_)) => "words",
                _ => "number",
            };
            // a long path breaks where its folders do
            let words = text(&words);
            let words = if class == "file" { words.replace('/', "/<wbr>") } else { words };
            let _ = write!(out, "<td class=\"{class}\">{words}");
            if let Some(interval) = interval {
                let _ = write!(out, " <span class=\"interval\">{}</span>", text(&interval));
            }
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div></figure>\n");
}

/// Where ticks of an axis lie: round numbers, so many of them or one more.
fn ticks(axis: &Axis, most: f64) -> Vec<f64> {
    let [low, high] = axis.range;
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return vec![low];
    }
    let rough = span / most;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough * 0.999).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..).map(|k| k as f64 * step).take_while(|t| *t <= high + 1e-9 * span).collect()
}

fn label(value: f64, axis: &Axis) -> String {
    if axis.percent { format!("{:.0}", 100.0 * value) } else { format!("{}", (value * 1000.0).round() / 1000.0) }
}

/// How large a chart is drawn: alone, or small beside others.
#[derive(Clone, Copy)]
struct Layout {
    width: f64,
    height: f64,
    /// Tick marks at most, along either axis.
    ticks: f64,
}

const ALONE: Layout = Layout { width: 560.0, height: 360.0, ticks: 5.0 };
const SMALL: Layout = Layout { width: 300.0, height: 220.0, ticks: 4.0 };

/// A chart as an SVG, without its legend.
fn chart_svg(chart: &Chart, layout: Layout) -> String {
    const LEFT: f64 = 58.0;
    const RIGHT: f64 = 14.0;
    const TOP: f64 = 14.0;
    const BOTTOM: f64 = 46.0;
    let Layout { width, height, ticks: most } = layout;
    let (wide, high) = (width - LEFT - RIGHT, height - TOP - BOTTOM);
    let part = |value: f64, axis: &Axis| {
        let span = axis.range[1] - axis.range[0];
        if span > 0.0 { ((value - axis.range[0]) / span).clamp(0.0, 1.0) } else { 0.5 }
    };
    let x = |value: f64| LEFT + wide * part(value, &chart.x);
    let y = |value: f64| TOP + high * (1.0 - part(value, &chart.y));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"13\"><title>{}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n",
        text(&chart.caption)
    );
    for tick in ticks(&chart.x, most) {
        let _ = writeln!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1}\" stroke=\"#e4e4e4\"/>\
             <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\" fill=\"#333\">{3}</text>",
            x(tick),
            TOP + high,
            TOP + high + 18.0,
            label(tick, &chart.x)
        );
    }
    for tick in ticks(&chart.y, most) {
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{1}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#e4e4e4\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"#333\">{4}</text>",
            y(tick),
            LEFT + wide,
            LEFT - 7.0,
            y(tick) + 4.5,
            label(tick, &chart.y)
        );
    }
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{wide}\" height=\"{high}\" fill=\"none\" stroke=\"#888\"/>\
         <text x=\"{0}\" y=\"{1}\" text-anchor=\"middle\" fill=\"#333\">{2}</text>\
         <text transform=\"translate(13 {3}) rotate(-90)\" text-anchor=\"middle\" fill=\"#333\">{4}</text>",
        LEFT + wide / 2.0,
        height - 8.0,
        text(&chart.x.title),
        TOP + high / 2.0,
        text(&chart.y.title)
    );
    if chart.diagonal {
        let low = chart.x.range[0].max(chart.y.range[0]);
        let end = chart.x.range[1].min(chart.y.range[1]);
        let _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#888\" stroke-dasharray=\"5 4\"/>",
            x(low),
            y(low),
            x(end),
            y(end)
        );
    }
    for (series, colour) in chart.series.iter().zip(LINES.iter().cycle()) {
        // the band of the intervals first, so that the line lies on it
        let with: Vec<_> = series.points.iter().filter_map(|p| Some((p.x, p.interval_95?))).collect();
        if with.len() > 1 && with.len() == series.points.len() {
            let up = with.iter().map(|(at, i)| format!("{:.1},{:.1}", x(*at), y(i[1])));
            let down = with.iter().rev().map(|(at, i)| format!("{:.1},{:.1}", x(*at), y(i[0])));
            let points = up.chain(down).collect::<Vec<_>>().join(" ");
            let _ = writeln!(svg, "<polygon points=\"{points}\" fill=\"{colour}\" fill-opacity=\"0.16\"/>");
        }
        let points: Vec<String> = series.points.iter().map(|p| format!("{:.1},{:.1}", x(p.x), y(p.y))).collect();
        let points = points.join(" ");
        let _ = writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        let most = series.points.iter().filter_map(|p| p.examples).max().unwrap_or(1).max(1) as f64;
        for point in series.points.iter().filter(|_| series.marked) {
            let size = point.examples.map_or(3.5, |n| 2.5 + 6.0 * (n as f64 / most).sqrt());
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{size:.1}\" fill=\"{colour}\"/>",
                x(point.x),
                y(point.y)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// What the lines of a chart are, where it has several.
fn legend(out: &mut String, chart: &Chart) {
    if chart.series.len() < 2 {
        return;
    }
    out.push_str("<ul class=\"legend\">");
    for (series, colour) in chart.series.iter().zip(LINES.iter().cycle()) {
        let _ = write!(
            out,
            "<li><svg viewBox=\"0 0 24 10\" aria-hidden=\"true\"><line x1=\"0\" x2=\"24\" y1=\"5\" y2=\"5\" \
             stroke=\"{colour}\" stroke-width=\"3\"/><circle cx=\"12\" cy=\"5\" r=\"4\" fill=\"{colour}\"/></svg>{}</li>",
            text(&series.name)
        );
    }
    out.push_str("</ul>");
}

/// Small charts side by side, under one legend.
fn charts(out: &mut String, id: &str, caption: &str, charts: &[Chart]) {
    let _ = write!(out, "<div class=\"charts\" id=\"{}\"><p class=\"caption\">{}</p>", text(id), text(caption));
    // the chart with the most lines names those of the others too
    if let Some(chart) = charts.iter().max_by_key(|c| c.series.len()) {
        legend(out, chart);
    }
    out.push_str("<div class=\"grid\">\n");
    for chart in charts {
        let (id, caption, svg) = (text(&chart.id), text(&chart.caption), chart_svg(chart, SMALL));
        let _ = write!(out, "<figure id=\"{id}\"><figcaption>{caption}</figcaption>{svg}</figure>");
    }
    out.push_str("</div></div>\n");
}

/// The report as an HTML page.
pub fn html(report: &Report) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{0}</title>\n<style>{STYLE}</style></head>\n<body><main>\n<h1>{0}</h1>\n",
        text(&report.title)
    );
    for warning in &report.warnings {
        let _ = writeln!(out, "<p class=\"warning\" role=\"note\"><strong>Read first:</strong> {}</p>", text(warning));
    }
    out.push_str("<nav><ul>");
    for section in &report.sections {
        let _ = write!(out, "<li><a href=\"#section-{}\">{}</a></li>", text(&section.id), text(&section.title));
    }
    out.push_str("</ul></nav>\n");
    for section in &report.sections {
        let _ = writeln!(out, "<section id=\"section-{}\"><h2>{}</h2>", text(&section.id), text(&section.title));
        for block in &section.blocks {
            match block {
                Block::Text { text: words } => {
                    let _ = writeln!(out, "<p>{}</p>", text(words));
                }
                Block::Table(found) => table(&mut out, found),
                Block::Chart(chart) => {
                    let (id, caption, svg) = (text(&chart.id), text(&chart.caption), chart_svg(chart, ALONE));
                    let _ = write!(out, "<figure id=\"{id}\"><figcaption>{caption}</figcaption>{svg}");
                    legend(&mut out, chart);
                    out.push_str("</figure>\n");
                }
                Block::Charts { id, caption, charts: several } => charts(&mut out, id, caption, several),
                Block::Confusion { id, caption, labels, counts } => {
                    let _ = writeln!(
                        out,
                        "<figure id=\"{}\"><figcaption>{}</figcaption>{}",
                        text(id),
                        text(caption),
                        confusion_svg("", labels, counts)
                    );
                    out.push_str("<details><summary>Counts</summary><div class=\"wide\"><table><thead><tr><th></th>");
                    labels.iter().for_each(|l| {
                        let _ = write!(out, "<th class=\"number\">{l}</th>");
                    });
                    out.push_str("</tr></thead><tbody>");
                    for (label, row) in labels.iter().zip(counts) {
                        let _ = write!(out, "<tr><th scope=\"row\" class=\"words\">{label}</th>");
                        for count in row {
                            let shade = colour(*count as f64 / row.iter().sum::<u64>().max(1) as f64 * 0.35);
                            let _ = write!(out, "<td class=\"number\" style=\"background:{shade}\">{count}</td>");
                        }
                        out.push_str("</tr>\n");
                    }
                    out.push_str("</tbody></table></div></details></figure>\n");
                }
            }
        }
        out.push_str("</section>\n");
    }
    out.push_str("</main></body></html>\n");
    out
}
