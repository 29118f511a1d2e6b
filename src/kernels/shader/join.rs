//! Several shaders as one: the first workgroups run the first, the next ones the second, and so on.
//!
//! Every module-level name of a member gets the member's number as a suffix, its bindings are numbered on
//! after those of the members before, and its entry point becomes a function that is called with the
//! workgroup's number among its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Shader;
use crate::shader::declarations::{Attribute, Declaration, attributes, declarations};
use crate::shader::tokens::{Kind, Token, closing, next, tokens};
use crate::shader::{TemplateError, Text};

/// Builtin values that the entry point of a joined shader has for its members.
const BUILTINS: [(&str, &str); 3] =
    [("workgroup_id", "vec3<u32>"), ("local_invocation_index", "u32"), ("subgroup_invocation_id", "u32")];

/// One shader for `members`, which have as many lanes each and workgroups in x only.
///
/// # Errors
/// If a member is not as templates are, which is a bug.
pub(super) fn join(members: Vec<Shader>) -> Result<Shader, TemplateError> {
    let lanes = members.iter().map(|m| m.lanes).max().unwrap_or(1);
    let mut text = Text::default();
    let (mut first, mut bound, mut uniforms) = (0, [0, 0], vec![]);
    let (mut calls, mut wanted) = (String::new(), BTreeSet::from(["workgroup_id", "local_invocation_index"]));
    for (number, shader) in members.iter().enumerate() {
        for import in &shader.text.imports {
            if !text.imports.contains(import) {
                text.imports.push(import.clone());
            }
        }
        let error = |reason| TemplateError { file: shader.name.clone(), line: 0, reason };
        let member = Member::of(&shader.text.own, number, bound).map_err(|r| error(r.to_string()))?;
        uniforms.extend(shader.uniforms.iter().map(|binding| bound[1] + binding));
        bound = member.bound;
        text.own += &member.text;
        let end = first + shader.workgroups[0];
        let mut arguments = vec![];
        for builtin in member.builtins {
            let (known, _) = BUILTINS.iter().find(|(known, _)| *known == builtin).ok_or_else(|| {
                error(format!("`@builtin({builtin})` is none that joined shaders give their members"))
            })?;
            wanted.insert(known);
            arguments.push(match *known {
                "workgroup_id" => format!("vec3<u32>(at - {first}u, 0u, 0u)"),
                other => other.to_string(),
            });
        }
        let otherwise = if number == 0 { "" } else { " else " };
        let call = format!("{}({});", member.entry, arguments.join(", "));
        calls += &format!("{otherwise}if (at < {end}u) {{\n        {call}\n    }}");
        first = end;
    }
    let parameters: String = BUILTINS
        .iter()
        .filter(|(builtin, _)| wanted.contains(builtin))
        .map(|(builtin, kind)| format!("    @builtin({builtin}) {builtin}: {kind},\n"))
        .collect();
    text.own += &format!(
        "@compute @workgroup_size({lanes})\nfn main(\n{parameters}) {{\n\
         \x20   let at = workgroup_id.x;\n    {calls}\n}}\n"
    );
    let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
    Ok(Shader {
        name: names.join("+"),
        source: text.source()?,
        text,
        workgroups: [first, 1, 1],
        lanes,
        workgroup_bytes: members.iter().map(|m| m.workgroup_bytes).sum(),
        in_storage: true,
        uniforms,
        normal_tables: (0..members.len()).filter(|&m| !members[m].normal_tables.is_empty()).collect(),
    })
}

/// A member's text with names, bindings and entry point of its own.
struct Member<'a> {
    text: String,
    /// Name of what was the entry point.
    entry: String,
    /// What it asks for, in order.
    builtins: Vec<&'a str>,
    /// Bindings in groups 0 and 1, those of the members before included.
    bound: [usize; 2],
}

impl<'a> Member<'a> {
    fn of(own: &'a str, number: usize, bound: [usize; 2]) -> Result<Self, &'static str> {
        let tokens = tokens(own);
        let found = declarations(&tokens).ok_or("a declaration does not end")?;
        let is_entry = |d: &&Declaration| attribute(&tokens, &d.attributes, "compute").is_some();
        let entry = found.iter().find(is_entry).ok_or("there is no entry point")?;
        let entry_name = entry.name.ok_or("the entry point has no name")?;
        let names: BTreeSet<&str> = found.iter().filter_map(|d| d.name).map(|at| tokens[at].text).collect();
        let suffixed = |name: &str| format!("{name}_kernel{number}");
        let mut edits = Edits::default();
        let (builtins, parameters) =
            parameters(&tokens, entry_name).ok_or("an argument is no builtin value")?;
        edits.remove(entry.all.start..entry.keyword);
        parameters.into_iter().for_each(|range| edits.remove(range));
        let kept = unresolved(&tokens, &found);
        for (at, token) in tokens.iter().enumerate() {
            if token.kind == Kind::Name && names.contains(token.text) && !kept.contains(&at) {
                edits.replace(at, suffixed(token.text));
            }
        }
        let mut ends = bound;
        for declaration in &found {
            let argument = |name| attribute(&tokens, &declaration.attributes, name);
            let (Some(group), Some(binding)) = (argument("group"), argument("binding")) else { continue };
            let group = literal(&tokens, group).ok_or("a group is no number")?.1;
            let (at, binding) = literal(&tokens, binding).ok_or("a binding is no number")?;
            // Group 2 is the step's, which is imported and common to all.
            let (offset, end) = bound.get(group).zip(ends.get_mut(group)).ok_or("there is no such group")?;
            edits.replace(at, (offset + binding).to_string());
            *end = (*end).max(offset + binding + 1);
        }
        let (entry, text) = (suffixed(tokens[entry_name].text), edits.apply(&tokens));
        Ok(Self { text, entry, builtins, bound: ends })
    }
}

/// New texts of tokens.
#[derive(Default)]
struct Edits(BTreeMap<usize, String>);

impl Edits {
    fn replace(&mut self, at: usize, text: String) {
        self.0.entry(at).or_insert(text);
    }

    fn remove(&mut self, range: Range<usize>) {
        self.0.extend(range.map(|at| (at, String::new())));
    }

    fn apply(&self, tokens: &[Token]) -> String {
        let own = |at: usize| self.0.get(&at).map_or(tokens[at].text, String::as_str);
        // What follows does not become part of a comment.
        (0..tokens.len()).map(own).chain(["\n"]).collect()
    }
}

/// Arguments of the attribute called `name`.
pub(super) fn attribute(tokens: &[Token], attributes: &[Attribute], name: &str) -> Option<Range<usize>> {
    attributes.iter().find(|a| tokens[a.name].is(name)).map(|a| a.arguments.clone())
}

/// Position and value of the number that `range` consists of.
pub(super) fn literal(tokens: &[Token], range: Range<usize>) -> Option<(usize, usize)> {
    let at = next(tokens, range.start).filter(|at| range.contains(at))?;
    let alone = next(tokens, at + 1).is_none_or(|after| !range.contains(&after) || tokens[after].is(","));
    let digits = tokens[at].text.trim_end_matches(['u', 'i']);
    alone.then_some(()).and_then(|()| Some((at, digits.parse().ok()?)))
}

/// The builtin values that the parameters of the function called at `name` take, in order, and where their
/// attributes stand. `None` if one takes another thing.
fn parameters<'a>(tokens: &[Token<'a>], name: usize) -> Option<(Vec<&'a str>, Vec<Range<usize>>)> {
    let open = next(tokens, name + 1)?;
    let close = closing(tokens, open)?;
    let (mut builtins, mut ranges) = (vec![], vec![]);
    let mut at = next(tokens, open + 1)?;
    while at < close {
        let (found, after) = attributes(tokens, at)?;
        let builtin = next(tokens, attribute(tokens, &found, "builtin")?.start)?;
        builtins.push(tokens[builtin].text);
        ranges.push(at..after);
        // To the next parameter: no type of a builtin value has a comma.
        let comma = (after..close).find(|&i| tokens[i].is(",")).unwrap_or(close - 1);
        at = next(tokens, comma + 1)?;
    }
    Some((builtins, ranges))
}

/// Names that mean nothing of the module: of attributes, members of structures, address spaces and access
/// modes.
fn unresolved(tokens: &[Token], declarations: &[Declaration]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut before = None;
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind != Kind::Space) {
        if before.is_some_and(|before: &Token| before.is(".") || before.is("@")) {
            found.insert(at);
        }
        if token.is("@")
            && let Some((attributes, _)) = attributes(tokens, at)
        {
            found.extend(attribute(tokens, &attributes[..1], "builtin").into_iter().flatten());
        }
        before = Some(token);
    }
    for declaration in declarations {
        found.extend(declaration.space.clone());
        if tokens[declaration.keyword].is("struct") {
            let colons = declaration.all.clone().filter(|&at| tokens[at].is(":"));
            let member = |colon: usize| (0..colon).rev().find(|&at| tokens[at].kind != Kind::Space);
            found.extend(colons.filter_map(member));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::join;
    use crate::base::rng::word;
    use crate::base::target::{Family, Target};
    use crate::kernels::samples::{families, random_kernel};
    use crate::kernels::shader::{Shader, shader};
    use crate::shader::tokens::{Kind, tokens};

    /// `source` with other white space between its tokens, and comments that look like code.
    fn reformatted(source: &str, seed: u32) -> String {
        let spaces = [
            "\n",
            "  \t",
            " /* @compute /* var< */ @builtin(x) fn main( */ ",
            " // const N: u32 = 1u; {\n",
            "\r\n/**/\n",
        ];
        let tokens = tokens(source);
        let mut text = String::new();
        let (mut before, mut apart) = (Kind::Space, false);
        for (at, token) in tokens.iter().enumerate() {
            apart |= token.kind == Kind::Space;
            if token.kind == Kind::Space {
                continue;
            }
            let draw = word([seed, 0], 0, 0, at as u32) as usize;
            // Between symbols that stood together, as in `->`, nothing may come; elsewhere names stay apart.
            let words = before != Kind::Symbol && token.kind != Kind::Symbol;
            let symbols = before == Kind::Symbol && token.kind == Kind::Symbol;
            match (apart, draw % 3) {
                (true, 0) if !words && !symbols => {}
                (true, _) => text += spaces[draw / 3 % spaces.len()],
                (false, 0) if !symbols && at > 0 => text += spaces[draw / 3 % spaces.len()],
                (false, _) => {}
            }
            text += token.text;
            (before, apart) = (token.kind, false);
        }
        text
    }

    fn spirv(source: &str) -> Vec<u32> {
        let module = naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|e| panic!("{}\n{source}", e.emit_to_string(source)));
        let capabilities = naga::valid::Capabilities::SUBGROUP;
        let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}\n{source}", e.emit_to_string(source)));
        naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None).unwrap()
    }

    #[test]
    fn formatting_does_not_change_what_is_joined() {
        for (subgroup_size, exact) in [(0, false), (8, true)] {
            let target = Target { subgroup_size, exact, ..Target::webgpu_minimum(Family::Registers) };
            for (number, family) in families().enumerate() {
                let of = |seed| shader(&random_kernel(family, seed).unwrap().kernel, &target).unwrap();
                let members = vec![of(1), of(2)];
                let other = |member: &Shader| {
                    let mut member = member.clone();
                    member.text.own = reformatted(&member.text.own, number as u32);
                    assert_eq!(spirv(&member.text.source().unwrap()), spirv(&member.source), "{family}");
                    member
                };
                let others = members.iter().map(other).collect();
                let (joined, same) = (join(members).unwrap(), join(others).unwrap());
                assert_eq!(spirv(&joined.source), spirv(&same.source), "{family}");
                assert_ne!(joined.source, same.source);
            }
        }
    }

    fn member(own: &str) -> Shader {
        let mut shader =
            Shader { name: "member".into(), workgroups: [3, 1, 1], lanes: 8, ..Shader::default() };
        shader.text.own = own.into();
        shader
    }

    #[test]
    fn names_of_the_module_are_renamed_and_no_others() {
        let own = "struct size { size: u32, lane: u32 }\n\
                   @binding(0) @group(0) var<storage, read_write> x: array<u32>;\n\
                   fn read(s: size) -> u32 { return s.size + s.lane; }\n\
                   const lane = 2u; @workgroup_size(8) @compute\n\
                   fn run(@builtin(workgroup_id) x1: vec3<u32>, \
                   @builtin(local_invocation_index) local: u32,) {\n\
                   x[local] = read(size(x1.x, lane)); } // the end";
        let joined = join(vec![member(own), member(own)]).unwrap().source;
        spirv(&joined);
        for wanted in [
            "struct size_kernel1 { size: u32, lane: u32 }",
            "@binding(1) @group(0) var<storage, read_write> x_kernel1",
            "s.size + s.lane",
            "read_kernel1(size_kernel1(x1.x, lane_kernel1))",
            "run_kernel1(vec3<u32>(at - 3u, 0u, 0u), local_invocation_index);",
        ] {
            assert!(joined.contains(wanted), "{wanted}\n{joined}");
        }
    }

    #[test]
    fn what_cannot_be_joined_is_an_error() {
        for (own, reason) in [
            ("fn main() {}", "there is no entry point"),
            ("@compute @workgroup_size(8) fn main() {", "a declaration does not end"),
            ("@compute @workgroup_size(8) fn main(x: u32) {}", "an argument is no builtin value"),
            ("@compute fn main(@builtin(num_workgroups) n: vec3<u32>) {}", "`@builtin(num_workgroups)`"),
            ("const N = 0; @group(0) @binding(N) var<storage> x: u32; @compute fn main() {}", "no number"),
            ("@group(3) @binding(0) var<storage> x: u32; @compute fn main() {}", "there is no such group"),
        ] {
            let error = join(vec![member(own), member(own)]).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
