//! Shaders of attention and its gradient.

use super::{Attention, AttentionGrad, Form, slope};
use crate::base::target::{Family, Target};
use crate::kernels::shader::bindings::{declare, insert_bindings};
use crate::kernels::shader::{LANES, Shader, ShaderError, VECTOR_LANES, grid};
use crate::shader::Template;
use crate::shader::body::literal;

impl Form {
    /// Rows that an invocation has in registers at most, if each takes `copies` of them. Software drivers load
    /// slowly, and spill cheaply.
    fn rows(&self, count: usize, copies: usize, target: &Target) -> usize {
        match target.family {
            Family::Registers => {
                let fit = (512 / (copies * self.sizes.width)).clamp(1, 4);
                fit.min(count.div_ceil(VECTOR_LANES)).max(1)
            }
            _ => 1,
        }
    }

    fn is_wide(&self) -> bool {
        self.sizes.width.is_multiple_of(4)
    }

    fn kind(&self) -> &'static str {
        if self.is_wide() { "vec4<f32>" } else { "f32" }
    }

    /// The template with everything that both kernels need; `before` are operands of rows before the queries,
    /// `numbers` those of one number for each query.
    fn template(
        &self,
        name: &str,
        [before, numbers]: [usize; 2],
        writes: Vec<&str>,
        target: &Target,
    ) -> Template {
        let reads = before + self.words().len();
        let sizes = &self.sizes;
        let mut declared: Vec<String> =
            writes.iter().enumerate().map(|(i, kind)| declare(0, i, kind)).collect();
        declared.extend((0..reads).map(|i| declare(1, i, self.kind())));
        declared.extend((reads..reads + numbers).map(|i| declare(1, i, "f32")));
        if self.lengths {
            declared.push(declare(1, reads + numbers, "u32"));
        }
        let each = |factor: &str| {
            let part = |c| format!("multiply_add({}, b.{c}, sum.{c})", factor.replace('#', c));
            format!("return Floats({}, {}, {}, {});", part("x"), part("y"), part("z"), part("w"))
        };
        let [product, scaled] = match (target.exact, self.is_wide()) {
            (false, _) => ["return sum + a * b;", "return sum + a * b;"].map(String::from),
            (true, false) => {
                ["return multiply_add(a, b, sum);", "return multiply_add(a, b, sum);"].map(String::from)
            }
            (true, true) => [each("a.#"), each("a")],
        };
        let total = match self.is_wide() {
            true => "return add_(add_(x.x, x.y), add_(x.z, x.w));",
            false => "return x;",
        };
        let dropout = self.dropout;
        let floats = |elements: usize| if self.is_wide() { elements / 4 } else { elements };
        let vectors = floats(sizes.width);
        // How many a subgroup can load at once.
        let each = (1..=VECTOR_LANES).rev().find(|each| vectors.is_multiple_of(*each)).unwrap_or(1);
        let broadcast = target.subgroup_size as usize == VECTOR_LANES && each > 1;
        let [q, k, v] = self.operands(before);
        let slope = match sizes.alibi {
            true => {
                let of = |head| literal(slope(head, sizes.heads).to_bits());
                let case = |head| format!("if (head == {head}u) {{\nreturn {};\n}}\n", of(head));
                let cases: String = (1..sizes.heads).map(case).collect();
                format!("{cases}return {};", of(0))
            }
            false => "return 0.0;".into(),
        };
        let length = match self.lengths {
            true => format!("return min(KEYS, read_{}[b]);", reads + numbers),
            false => "return KEYS;".into(),
        };
        insert_bindings(Template::new(name), declared)
            .flag("FOUR", self.is_wide())
            .flag("CAUSAL", sizes.causal)
            .flag("ALIBI", sizes.alibi)
            .insert("slope", slope)
            .flag("DROPOUT", dropout.is_some())
            .set("BATCH", sizes.batch)
            .set("HEADS", sizes.heads)
            .set("SHARED", sizes.heads / sizes.key_heads)
            .set("QUERIES", sizes.queries)
            .set("KEYS", sizes.keys)
            .flag("BROADCAST", broadcast)
            .set("VECTORS", vectors)
            .set("EACH", each)
            .set("LOADS", vectors / each)
            .set("QUERY_STEP", floats(sizes.query_step()))
            .set("KEY_STEP", floats(sizes.key_step()))
            .set("KEY_OFFSET", floats(sizes.key_offset()))
            .set("VALUE_OFFSET", floats(sizes.value_offset()))
            .insert("read_query", format!("return read_{q}[at];"))
            .insert("read_key", format!("return read_{k}[at];"))
            .insert("read_value", format!("return read_{v}[at];"))
            .insert("length", length)
            .set_f32("SCALE", self.scale)
            .set("THRESHOLD", dropout.map_or(0, |dropout| dropout.threshold as usize))
            .set_f32("FACTOR", dropout.map_or(0, |dropout| dropout.factor))
            .set("STREAM", dropout.map_or(0, |dropout| dropout.stream as usize))
            .insert("add_product", product)
            .insert("add_scaled", scaled)
            .insert("total", total)
    }
}

/// Invocations of a workgroup.
fn lanes(target: &Target) -> usize {
    if target.family == Family::Registers { VECTOR_LANES } else { LANES }
}

/// A statement that writes to an output that is wanted.
fn store(output: Option<usize>, at: &str) -> String {
    output.map_or_else(String::new, |output| format!("write_{output}[{at}] = value;"))
}

pub(super) fn attention(k: &Attention, target: &Target) -> Result<Shader, ShaderError> {
    let (form, sizes) = (&k.form, &k.form.sizes);
    let (lanes, rows) = (lanes(target), form.rows(sizes.queries, 2, target));
    let tiles = sizes.queries.div_ceil(lanes * rows);
    let kinds = k.outputs.iter().zip([form.kind(), "f32"]);
    let writes = kinds.filter(|(output, _)| output.is_some()).map(|(_, kind)| kind).collect();
    let template = form
        .template("attention", [0, 0], writes, target)
        .set("TILES", tiles)
        .set("ROWS", rows)
        .insert("store_result", store(k.outputs[0], "at"))
        .insert("store_log_sum", store(k.outputs[1], "row"));
    let shader = grid("attention", template, sizes.batch * sizes.heads * tiles, lanes, false)?;
    Ok(Shader { in_storage: true, ..shader })
}

pub(super) fn gradient(k: &AttentionGrad, target: &Target) -> Result<Shader, ShaderError> {
    let (form, sizes) = (&k.form, &k.form.sizes);
    let lanes = lanes(target);
    let rows = form.rows(sizes.queries.max(sizes.keys), 4, target);
    let tiles = |count: usize| count.div_ceil(lanes * rows);
    let [of_queries, of_keys] = k.of();
    let groups = |wanted: bool, count: usize| if wanted { sizes.batch * count } else { 0 };
    let key_groups = groups(of_keys, sizes.key_heads * tiles(sizes.keys));
    let query_groups = groups(of_queries, sizes.heads * tiles(sizes.queries));
    let writes = vec![form.kind(); k.outputs.iter().flatten().count()];
    let first = 1 + form.words().len();
    let width = if form.is_wide() { 4 } else { 1 };
    let stores = k.places().map(|place| {
        store(
            place.map(|(output, _)| output),
            &format!("{}u + at", place.map_or(0, |(_, offset)| offset / width)),
        )
    });
    let template = form
        .template("attention_grad", [1, 2], writes, target)
        .set("TILES", tiles(sizes.queries))
        .set("KEY_TILES", tiles(sizes.keys))
        .set("KEY_GROUPS", key_groups)
        .set("ROWS", rows)
        .flag("OF_QUERIES", of_queries)
        .flag("OF_KEYS", of_keys)
        .insert("read_log_sum", format!("return read_{first}[row];"))
        .insert("read_product", format!("return read_{}[row];", first + 1))
        .insert("store_query", stores[0].clone())
        .insert("store_key", stores[1].clone())
        .insert("store_value", stores[2].clone());
    let shader = grid("attention_grad", template, key_groups + query_groups, lanes, false)?;
    Ok(Shader { in_storage: true, ..shader })
}
