//! Many changes in one text, each behind a switch.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use proc_macro2::LineColumn;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::mutant::{Genre, Mutant, Place};

/// What a crate's root gets, so that its switches have something to ask.
pub(crate) const SWITCH: &str = r#"
#[expect(missing_docs, reason = "only a changed tree has it")]
pub fn mutant(number: u32) -> bool {
    static ON: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        std::env::var("QOSLAB_MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0)
    });
    *ON == number
}
"#;

/// The condition that a change is on.
fn switch(mutant: &Mutant) -> String {
    format!("crate::mutant({})", mutant.number)
}

/// The text with all these changes, each behind its switch.
pub(crate) fn weave(text: &str, mutants: &[&Mutant]) -> Result<String> {
    let file = syn::parse_file(text).context("the source is not understood")?;
    let lines = Lines::of(text);
    let mut edits = Vec::new();
    for mutant in mutants {
        let mut finder = Finder { mutant, lines: &lines, found: None };
        finder.visit_file(&file);
        let Some(edit) = finder.found else { bail!("not found: {}", mutant.name) };
        edits.push(edit);
    }
    // What is only inserted comes first, then what surrounds others.
    edits.sort_by_key(|edit| {
        (edit.range.start, !edit.range.is_empty(), std::cmp::Reverse(edit.range.end))
    });
    Ok(render(text, 0..text.len(), &edits))
}

/// The text with this one change, as it would be written by hand.
pub(crate) fn apply(text: &str, mutant: &Mutant) -> String {
    let lines = Lines::of(text);
    let range = lines.offset(mutant.span.start)..lines.offset(mutant.span.end);
    format!("{}{}{}", &text[..range.start], mutant.replacement, &text[range.end..])
}

/// One change: a range of the text, and what stands in its place.
struct Edit {
    range: Range<usize>,
    pieces: Vec<Piece>,
}

enum Piece {
    Text(String),
    /// A part of what was there, with the changes in it.
    Part(Range<usize>),
}

fn render(text: &str, range: Range<usize>, edits: &[Edit]) -> String {
    let mut rendered = String::new();
    let mut at = range.start;
    for (index, edit) in edits.iter().enumerate() {
        if edit.range.start < at || edit.range.end > range.end {
            continue;
        }
        rendered += &text[at..edit.range.start];
        for piece in &edit.pieces {
            match piece {
                Piece::Text(inserted) => rendered += inserted,
                Piece::Part(part) => rendered += &render(text, part.clone(), &edits[index + 1..]),
            }
        }
        at = edit.range.end;
    }
    rendered + &text[at..range.end]
}

/// Where lines start.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect() }
    }

    fn offset(&self, place: Place) -> usize {
        let start = self.starts[place.line - 1];
        let columns = self.text[start..].char_indices().map(|(at, _)| at);
        start + columns.chain([self.text.len() - start]).nth(place.column - 1).unwrap_or(0)
    }

    fn range(&self, span: proc_macro2::Span) -> Range<usize> {
        self.offset(place(span.start()))..self.offset(place(span.end()))
    }
}

fn place(at: LineColumn) -> Place {
    Place { line: at.line, column: at.column + 1 }
}

/// Looks for the place of a change.
struct Finder<'a> {
    mutant: &'a Mutant,
    lines: &'a Lines<'a>,
    found: Option<Edit>,
}

impl Finder<'_> {
    fn is_here(&self, genre: Genre, span: proc_macro2::Span) -> bool {
        self.mutant.genre == genre && place(span.start()) == self.mutant.span.start
    }

    /// Puts `changed` in the place of `range` where the change is on.
    fn choose(&mut self, range: Range<usize>, changed: Vec<Piece>) {
        let mut pieces = vec![Piece::Text(format!("(if {} {{ ", switch(self.mutant)))];
        pieces.extend(changed);
        pieces.push(Piece::Text(" } else { ".to_owned()));
        pieces.push(Piece::Part(range.clone()));
        pieces.push(Piece::Text(" })".to_owned()));
        self.found = Some(Edit { range, pieces });
    }

    fn visit_body(&mut self, block: &syn::Block) {
        let Some(first) = block.stmts.first() else { return };
        if self.mutant.genre != Genre::FnValue
            || place(first.span().start()) != self.mutant.span.start
        {
            return;
        }
        let start = self.lines.range(first.span()).start;
        let (on, value) = (switch(self.mutant), &self.mutant.replacement);
        let inserted = format!("if {on} {{ return {value}; }} ");
        self.found = Some(Edit { range: start..start, pieces: vec![Piece::Text(inserted)] });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.visit_body(&item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.visit_body(&item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.visit_body(block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_binary(&mut self, expression: &'ast syn::ExprBinary) {
        if self.is_here(Genre::BinaryOperator, expression.op.span()) {
            let whole = self.lines.range(expression.span());
            let operator = self.lines.range(expression.op.span());
            let changed = vec![
                Piece::Part(whole.start..operator.start),
                Piece::Text(self.mutant.replacement.clone()),
                Piece::Part(operator.end..whole.end),
            ];
            self.choose(whole, changed);
        }
        visit::visit_expr_binary(self, expression);
    }

    fn visit_expr_unary(&mut self, expression: &'ast syn::ExprUnary) {
        if self.is_here(Genre::UnaryOperator, expression.op.span()) {
            let operand = self.lines.range(expression.expr.span());
            self.choose(self.lines.range(expression.span()), vec![Piece::Part(operand)]);
        }
        visit::visit_expr_unary(self, expression);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if self.is_here(Genre::MatchArm, arm.span()) {
            let off = format!("!{}", switch(self.mutant));
            self.found = Some(if let Some((_, guard)) = &arm.guard {
                let range = self.lines.range(guard.span());
                let before = Piece::Text(format!("{off} && ("));
                let pieces = vec![before, Piece::Part(range.clone()), Piece::Text(")".into())];
                Edit { range, pieces }
            } else {
                let end = self.lines.range(arm.pat.span()).end;
                Edit { range: end..end, pieces: vec![Piece::Text(format!(" if {off}"))] }
            });
        }
        if let Some((_, guard)) = &arm.guard
            && self.is_here(Genre::MatchArmGuard, guard.span())
        {
            let changed = vec![Piece::Text(self.mutant.replacement.clone())];
            self.choose(self.lines.range(guard.span()), changed);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        if let Some(rest) = &expression.rest
            && let Some(field) = expression
                .fields
                .iter()
                .find(|field| self.is_here(Genre::StructField, field.span()))
        {
            let name = self.lines.range(field.member.span());
            let changed = vec![
                Piece::Text("(".to_owned()),
                Piece::Part(self.lines.range(rest.span())),
                Piece::Text(").".to_owned()),
                Piece::Part(name.clone()),
            ];
            self.choose(self.lines.range(field.expr.span()), changed);
            // `S { f, ..rest }` becomes `S { f: …, ..rest }`.
            if field.colon_token.is_none()
                && let Some(edit) = &mut self.found
            {
                edit.pieces.insert(0, Piece::Text(": ".to_owned()));
                edit.pieces.insert(0, Piece::Part(name));
            }
        }
        visit::visit_expr_struct(self, expression);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Span;

    fn mutant(number: u32, genre: Genre, text: &str, here: &str, replacement: &str) -> Mutant {
        let start = text.find(here).expect("the place is in the text");
        let at = |offset: usize| Place { line: 1, column: offset + 1 };
        Mutant {
            number,
            name: format!("{genre:?} of {here}"),
            file: "lib.rs".to_owned(),
            genre,
            span: Span { start: at(start), end: at(start + here.len()) },
            replacement: replacement.to_owned(),
        }
    }

    #[test]
    fn changes_in_changes_keep_their_switches() {
        let text = "fn f(a: bool, b: u8) -> bool { a && b < 3 }";
        let outer = mutant(1, Genre::BinaryOperator, text, "&&", "||");
        let inner = mutant(2, Genre::BinaryOperator, text, "< 3", ">");
        let value = mutant(3, Genre::FnValue, text, "a && b < 3", "true");
        let woven = weave(text, &[&outer, &inner, &value]).expect("all are found");
        assert_eq!(
            woven,
            "fn f(a: bool, b: u8) -> bool { if crate::mutant(3) { return true; } \
             (if crate::mutant(1) { a || (if crate::mutant(2) { b > 3 } else { b < 3 }) } \
             else { a && (if crate::mutant(2) { b > 3 } else { b < 3 }) }) }"
        );
    }

    #[test]
    fn arms_and_fields_are_left_out_by_their_switches() {
        let text =
            "fn f(a: A) -> A { match a { A::X if g => h, A::Y => A { p: 1, r, ..q }, _ => a } }";
        let guarded = mutant(1, Genre::MatchArm, text, "A::X if g => h", "");
        let guard = mutant(2, Genre::MatchArmGuard, text, "g =>", "true");
        let plain = mutant(3, Genre::MatchArm, text, "A::Y", "");
        let field = mutant(4, Genre::StructField, text, "p: 1", "");
        let short = mutant(5, Genre::StructField, text, "r, ..", "");
        let all = [&guarded, &guard, &plain, &field, &short];
        let woven = weave(text, &all).expect("all are found");
        assert_eq!(
            woven,
            "fn f(a: A) -> A { match a { \
             A::X if !crate::mutant(1) && ((if crate::mutant(2) { true } else { g })) => h, \
             A::Y if !crate::mutant(3) => A { p: (if crate::mutant(4) { (q).p } else { 1 }), \
             r: (if crate::mutant(5) { (q).r } else { r }), ..q }, \
             _ => a } }"
        );
    }
}
