//! One launch for several copies of a program: the models of a group, each with memory of its own.
//!
//! Every buffer holds the copies one after the other. The launch has as many layers of workgroups (in z) as
//! copies that run; layer z takes the step record of its number, which says of which copy it is, and each access
//! to an operand adds that copy times the distance from copy to copy. The indices are all that changes, so each
//! copy has the bits it would have alone. This is done here, on the finished shader, and by no kernel.

use std::collections::BTreeMap;

use super::Shader;
use super::join::{attribute, literal};
use crate::base::step::StepRecord;
use crate::shader::TemplateError;
use crate::shader::declarations::{Declaration, declarations};
use crate::shader::tokens::{Kind, Token, closing, next, tokens};

/// Words from one copy to the next of each binding, by group (written, read); `None` if all copies have the same.
pub type Strides = [Vec<Option<usize>>; 2];

/// `shader` for at most `copies` copies at once. Its operands must be in storage.
///
/// # Errors
/// If it is not as templates are, which is a bug.
pub fn copies(shader: &Shader, strides: &Strides, copies: usize) -> Result<Shader, TemplateError> {
    let error = |reason: String| TemplateError { file: shader.name.clone(), line: 0, reason };
    let own = rewritten(&shader.source, &shader.text.own, strides).map_err(error)?;
    let mut text = shader.text.clone();
    text.imports.retain(|import| import != "step");
    text.own = StepRecord::wgsl_of(copies) + &own;
    Ok(Shader { source: text.source()?, text, ..shader.clone() })
}

/// The declarations `own` of a shader whose whole text is `source`, with its accesses moved to the copy.
fn rewritten(source: &str, own: &str, strides: &Strides) -> Result<String, String> {
    let aliases = aliases(source);
    let tokens = tokens(own);
    let found = declarations(&tokens).ok_or("a declaration does not end")?;
    let mut after: BTreeMap<usize, String> = BTreeMap::new();
    let mut before: BTreeMap<usize, String> = BTreeMap::new();
    let (mut declared, mut set) = (String::new(), String::new());
    for declaration in &found {
        let Some((name, stride)) = operand(&tokens, declaration, strides)? else { continue };
        let kind = element(&tokens, declaration, name).ok_or("an operand is no array")?;
        let kind = aliases.get(kind.as_str()).unwrap_or(&kind);
        let words = match kind.as_str() {
            "f32" | "u32" => 1,
            "vec4<f32>" | "vec4<u32>" => 4,
            other => return Err(format!("an operand has elements of type {other}")),
        };
        let name = tokens[name].text;
        let offset = format!("{name}_copy");
        declared += &format!("var<private> {offset}: u32;\n");
        set += &format!("\n    {offset} = step.copy * {}u;", stride / words);
        for at in (0..tokens.len()).filter(|at| !declaration.all.contains(at)) {
            // A member of a value may have an operand's name: `at.x`.
            let is_member = at > 0 && tokens[at - 1].is(".");
            if tokens[at].kind != Kind::Name || tokens[at].text != name || is_member {
                continue;
            }
            let open = next(&tokens, at + 1).filter(|&open| tokens[open].is("["));
            let open = open.ok_or_else(|| format!("`{name}` is used as a whole"))?;
            let close = closing(&tokens, open).ok_or("a bracket does not close")?;
            after.insert(open, format!("{offset} + ("));
            before.insert(close, ")".into());
        }
    }
    let (body, group) = entry(&tokens, &found).ok_or("there is no entry point with a workgroup's number")?;
    after.insert(body, format!("\n    step = steps[{group}.z];{set}"));
    let none = String::new();
    let edited = |at: usize| {
        let [before, after] = [&before, &after].map(|edits| edits.get(&at).unwrap_or(&none).as_str());
        [before, tokens[at].text, after].concat()
    };
    Ok(declared + &(0..tokens.len()).map(edited).collect::<String>())
}

/// What the aliases of a module stand for.
fn aliases(source: &str) -> BTreeMap<String, String> {
    let tokens = tokens(source);
    let alias = |declaration: &Declaration| {
        let name = declaration.name.filter(|_| tokens[declaration.keyword].is("alias"))?;
        let equals = next(&tokens, name + 1)?;
        Some((tokens[name].text.to_string(), text(&tokens[equals + 1..declaration.all.end - 1])))
    };
    declarations(&tokens).iter().flatten().filter_map(alias).collect()
}

/// The position of an operand's name and its distance from copy to copy, if the declaration is an operand that
/// copies do not share.
fn operand(
    tokens: &[Token],
    declaration: &Declaration,
    strides: &Strides,
) -> Result<Option<(usize, usize)>, String> {
    let argument = |name| {
        let range = attribute(tokens, &declaration.attributes, name)?;
        literal(tokens, range).map(|(_, value)| value)
    };
    let (Some(group), Some(binding), Some(name)) = (argument("group"), argument("binding"), declaration.name)
    else {
        return Ok(None);
    };
    let stride = strides.get(group).and_then(|group| group.get(binding));
    let Some(stride) = stride.ok_or("more operands are declared than are bound")? else { return Ok(None) };
    if !declaration.space.clone().any(|at| tokens[at].is("storage")) {
        return Err(format!("`{}` is not in storage", tokens[name].text));
    }
    Ok(Some((name, *stride)))
}

/// The type of the elements of the array declared at `name`.
fn element(tokens: &[Token], declaration: &Declaration, name: usize) -> Option<String> {
    let colon = next(tokens, name + 1).filter(|&at| tokens[at].is(":"))?;
    let kind = text(&tokens[colon + 1..declaration.all.end - 1]);
    Some(kind.strip_prefix("array<")?.strip_suffix('>')?.to_string())
}

/// Where the body of the entry point begins, and what it calls the number of its workgroup.
fn entry<'a>(tokens: &[Token<'a>], found: &[Declaration]) -> Option<(usize, &'a str)> {
    let is_entry = |d: &&Declaration| attribute(tokens, &d.attributes, "compute").is_some();
    let entry = found.iter().find(is_entry)?;
    let open = next(tokens, entry.name? + 1)?;
    let close = closing(tokens, open)?;
    let builtin = (open..close).find(|&at| tokens[at].is("workgroup_id") && tokens[at - 1].is("("))?;
    let group = next(tokens, next(tokens, builtin + 1)? + 1)?;
    let body = (close..entry.all.end).find(|&at| tokens[at].is("{"))?;
    Some((body, tokens[group].text))
}

/// Tokens without white space and comments.
fn text(tokens: &[Token]) -> String {
    tokens.iter().filter(|token| token.kind != Kind::Space).map(|token| token.text).collect()
}

#[cfg(test)]
mod tests {
    use super::{Strides, copies};
    use crate::base::target::{Family, Geometry, Target};
    use crate::kernels::samples::{families, random_kernel};
    use crate::kernels::shader::{Bound, Shader, launch};

    fn assert_valid(source: &str) {
        let module = naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|e| panic!("{}\n{source}", e.emit_to_string(source)));
        let capabilities = naga::valid::Capabilities::SUBGROUP;
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}\n{source}", e.emit_to_string(source)));
    }

    /// Whatever a launch consists of, its copies are a valid shader, in which every operand is moved.
    #[test]
    fn every_launch_has_copies() {
        for (family, exact) in
            [(Family::Registers, false), (Family::Registers, true), (Family::Workgroup, false)]
        {
            let geometry = Geometry { uniforms: false, ..Geometry::usual(family) };
            let target = Target { exact, geometry, ..Target::webgpu_minimum(family) };
            for name in families() {
                let kernels: Vec<_> = (1..5).map(|seed| random_kernel(name, seed).unwrap().kernel).collect();
                let bound: Vec<Bound> = kernels.iter().map(Bound::new).collect();
                let pair = [bound[0].clone(), bound[1].clone()];
                let mut launches = vec![&pair[..]];
                launches.extend(bound.chunks(1));
                for members in launches {
                    // Not all may be joined.
                    let Ok(shader) = launch(members, &target) else { continue };
                    let count = |group| shader.source.matches(&format!("@group({group}) @binding(")).count();
                    let strides = [0, 1].map(|group| vec![Some(640); count(group)]);
                    let found = copies(&shader, &strides, 32).unwrap();
                    assert_valid(&found.source);
                    let moved = found.source.matches("_copy = step.copy * ").count();
                    assert_eq!(moved, count(0) + count(1), "{name}\n{}", found.source);
                }
            }
        }
    }

    fn with(own: &str, strides: &Strides) -> Result<String, String> {
        let mut shader = Shader { name: "member".into(), ..Shader::default() };
        shader.text.own = own.into();
        shader.source = own.into();
        copies(&shader, strides, 4).map(|shader| shader.text.own).map_err(|error| error.to_string())
    }

    #[test]
    fn accesses_move_to_the_copy_and_shared_ones_stay() {
        let own = "alias Four = vec4<f32>;\n\
                   @group(0) @binding(0) var<storage, read_write> x: array<Four>;\n\
                   @group(1) @binding(0) var<storage, read> order: array<u32>;\n\
                   @group(1) @binding(1) var<storage, read> table: array<f32>;\n\
                   @compute @workgroup_size(8) fn main(@builtin(workgroup_id) at: vec3<u32>) {\n\
                   x[at.x] = Four(table[order[at.x + 1u]]); }";
        let found = with(own, &[vec![Some(128)], vec![Some(64), None]]).unwrap();
        assert_valid(&found);
        for wanted in [
            "x[x_copy + (at.x)] = Four(table[order[order_copy + (at.x + 1u)]]);",
            "x_copy = step.copy * 32u;",
            "order_copy = step.copy * 64u;",
            "step = steps[at.z];",
            "array<StepRecord, 4>",
        ] {
            assert!(found.contains(wanted), "{wanted}\n{found}");
        }
    }

    #[test]
    fn what_cannot_be_moved_is_an_error() {
        let main = "@compute @workgroup_size(8) fn main(@builtin(workgroup_id) at: vec3<u32>) ";
        let one: &Strides = &[vec![Some(64)], vec![]];
        for (own, reason) in [
            (format!("@group(0) @binding(1) var<storage> x: array<f32>; {main}{{}}"), "more operands"),
            (
                format!("@group(0) @binding(0) var<uniform> x: array<vec4<f32>, 4>; {main}{{}}"),
                "not in storage",
            ),
            (format!("@group(0) @binding(0) var<storage> x: array<i32>; {main}{{}}"), "type i32"),
            (
                format!("@group(0) @binding(0) var<storage> x: array<f32>; {main}{{ let y = &x; }}"),
                "as a whole",
            ),
            ("@compute @workgroup_size(8) fn main() {}".into(), "no entry point"),
        ] {
            let error = with(&own, one).unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
}
