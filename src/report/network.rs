//! A graph as a picture: nodes that pull their neighbours and push all others away (Fruchterman and Reingold 1991).

use super::svg::escape;
use crate::base::nodes::Nodes;

/// Larger graphs have no picture.
const MOST_NODES: usize = 400;
const MOST_EDGES: usize = 4000;
/// Rounds of the layout.
const ROUNDS: usize = 300;
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const MARGIN: f64 = 30.0;

/// How a node is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// Number of its colour.
    pub colour: usize,
    /// How strong the colour is, from 0 to 1.
    pub strength: f64,
    /// Whether it has a ring.
    pub ring: bool,
    /// What stands beside the pointer.
    pub title: String,
}

/// The picture with a legend of colours; nothing if the graph is too large to be seen.
pub fn picture(title: &str, nodes: &Nodes, marks: &[Mark], legend: &[String], ring: &str) -> String {
    let count = nodes.count();
    if count > MOST_NODES || nodes.sources.len() > MOST_EDGES || marks.len() != count {
        return String::new();
    }
    let places = layout(nodes);
    let mut body = String::new();
    for (source, target, _) in nodes.edges().filter(|(source, target, _)| source != target) {
        let ([x1, y1], [x2, y2]) = (places[source as usize], places[target as usize]);
        body += &format!(
            "<line class=\"axis\" stroke-opacity=\"0.35\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n"
        );
    }
    let names = count <= 60;
    for (node, ([x, y], mark)) in places.iter().zip(marks).enumerate() {
        if mark.ring {
            body += &format!(
                "<circle class=\"r5\" fill=\"none\" stroke-width=\"2.5\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"13\"/>\n"
            );
        }
        let (colour, strength) = (mark.colour % 8, 0.2 + 0.8 * mark.strength.clamp(0.0, 1.0));
        body += &format!(
            "<circle class=\"r{colour}\" fill=\"currentColor\" fill-opacity=\"{strength:.2}\" cx=\"{x:.1}\" cy=\"{y:.1}\" \
             r=\"{}\"><title>{}</title></circle>\n",
            if names { 9 } else { 5 },
            escape(&mark.title)
        );
        if names {
            let name: String = nodes.names[node].chars().take(12).collect();
            let (x, y) = (x + 12.0, y - 8.0);
            body += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n", escape(&name));
        }
    }
    let entry =
        |(at, name): (usize, &String)| format!("<li><i class=\"r{}\"></i>{}</li>\n", at % 8, escape(name));
    let mut entries: String = legend.iter().enumerate().map(entry).collect();
    if marks.iter().any(|mark| mark.ring) {
        entries += &format!("<li><i class=\"r5\"></i>ring: {}</li>\n", escape(ring));
    }
    let title = escape(title);
    format!(
        "<figure><figcaption>{title}</figcaption>\n<ul class=\"legend\">{entries}</ul>\n<svg viewBox=\"0 0 {WIDTH} \
         {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n{body}</svg></figure>\n"
    )
}

/// A place for each node, within the picture.
fn layout(nodes: &Nodes) -> Vec<[f64; 2]> {
    let count = nodes.count();
    let apart = (1.0 / count.max(1) as f64).sqrt();
    // A spiral of even density to begin with.
    let golden = 2.399_963_229_728_653;
    let mut places: Vec<[f64; 2]> = (0..count)
        .map(|node| {
            let (angle, far) = (golden * node as f64, ((node as f64 + 0.5) / count as f64).sqrt() * 0.5);
            [0.5 + far * angle.cos(), 0.5 + far * angle.sin()]
        })
        .collect();
    for round in 0..ROUNDS {
        let mut moves = vec![[0.0f64; 2]; count];
        for a in 0..count {
            for b in 0..a {
                let d = [0, 1].map(|axis| places[a][axis] - places[b][axis]);
                let square = (d[0] * d[0] + d[1] * d[1]).max(1e-9);
                for axis in [0, 1] {
                    let push = d[axis] * apart * apart / square;
                    moves[a][axis] += push;
                    moves[b][axis] -= push;
                }
            }
        }
        for (source, target, _) in nodes.edges() {
            let (a, b) = (source as usize, target as usize);
            let d = [0, 1].map(|axis| places[a][axis] - places[b][axis]);
            let distance = (d[0] * d[0] + d[1] * d[1]).sqrt();
            for axis in [0, 1] {
                let pull = 0.5 * d[axis] * distance / apart;
                moves[a][axis] -= pull;
                moves[b][axis] += pull;
            }
        }
        let most = 0.1 * (1.0 - round as f64 / ROUNDS as f64) + 1e-4;
        for (place, step) in places.iter_mut().zip(&moves) {
            let length = (step[0] * step[0] + step[1] * step[1]).sqrt().max(1e-12);
            for axis in [0, 1] {
                // Nodes without neighbours stay near the others.
                let back = 0.02 * (0.5 - place[axis]);
                place[axis] += step[axis] / length * length.min(most) + back;
            }
        }
    }
    let size = [WIDTH - 2.0 * MARGIN, HEIGHT - 2.0 * MARGIN];
    let range = [0, 1].map(|axis| {
        let of = || places.iter().map(|place| place[axis]);
        [of().fold(f64::INFINITY, f64::min), of().fold(f64::NEG_INFINITY, f64::max)]
    });
    let within = |place: &[f64; 2]| {
        [0, 1].map(|axis| {
            let [low, high] = range[axis];
            let part = if high > low { (place[axis] - low) / (high - low) } else { 0.5 };
            MARGIN + size[axis] * part
        })
    };
    places.iter().map(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_apart_and_neighbours_close() {
        // Two triangles, joined by one edge, and a node alone.
        let pairs = [[0u32, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3], [0, 3]];
        let nodes = Nodes {
            names: (0..7).map(|node| node.to_string()).collect(),
            sources: pairs.iter().map(|pair| pair[0]).collect(),
            targets: pairs.iter().map(|pair| pair[1]).collect(),
            ..Nodes::default()
        };
        let places = layout(&nodes);
        assert_eq!(places, layout(&nodes));
        let distance = |a: usize, b: usize| (places[a][0] - places[b][0]).hypot(places[a][1] - places[b][1]);
        assert!(places.iter().flatten().all(|x| x.is_finite()));
        assert!(distance(1, 2) < distance(1, 4) && distance(4, 5) < distance(2, 5), "{places:?}");
        for a in 0..7 {
            assert!((0..a).all(|b| distance(a, b) > 20.0), "{places:?}");
        }
        let marks = vec![Mark { title: "<a>".into(), ring: true, ..Mark::default() }; 7];
        let html = picture("graph", &nodes, &marks, &["x & y".into()], "wrong");
        assert!(
            html.contains("&lt;a&gt;") && html.contains("x &amp; y") && html.matches("<circle").count() == 14
        );
        assert!(picture("graph", &nodes, &marks[1..], &[], "").is_empty());
    }
}
