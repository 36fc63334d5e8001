//! RustHDL's expression trees as text.

use rust_hdl::core::ast::{VerilogExpression, VerilogLiteral, VerilogOp, VerilogOpUnary};
use rust_hdl::core::verilog_visitor::VerilogVisitor;

/// The expression's text on one line.
pub(super) fn text(expression: &VerilogExpression) -> String {
    if let VerilogExpression::Signal(text) = expression {
        return text.clone();
    }
    let mut printer = Printer(String::new());
    printer.visit_expression(expression);
    printer.0
}

/// Prints names as they are, numbers in decimal and slices as `[high:low]`.
struct Printer(String);

impl VerilogVisitor for Printer {
    fn visit_signal(&mut self, name: &str) {
        self.0.push_str(name);
    }

    fn visit_literal(&mut self, value: &VerilogLiteral) {
        self.0.push_str(&value.as_usize().to_string());
    }

    fn visit_paren(&mut self, inner: &VerilogExpression) {
        self.0.push('(');
        self.visit_expression(inner);
        self.0.push(')');
    }

    fn visit_binop(&mut self, left: &VerilogExpression, operator: &VerilogOp, right: &VerilogExpression) {
        self.visit_expression(left);
        self.0.push_str(match operator {
            VerilogOp::Add => " + ",
            VerilogOp::Sub => " - ",
            VerilogOp::Mul => " * ",
            VerilogOp::LogicalAnd => " && ",
            VerilogOp::LogicalOr => " || ",
            VerilogOp::BitXor => " ^ ",
            VerilogOp::BitAnd => " & ",
            VerilogOp::BitOr => " | ",
            VerilogOp::Shl => " << ",
            VerilogOp::Shr => " >> ",
            VerilogOp::Eq => " == ",
            VerilogOp::Lt => " < ",
            VerilogOp::Le => " <= ",
            VerilogOp::Ne => " != ",
            VerilogOp::Ge => " >= ",
            VerilogOp::Gt => " > ",
        });
        self.visit_expression(right);
    }

    fn visit_unop(&mut self, operator: &VerilogOpUnary, operand: &VerilogExpression) {
        self.0.push(match operator {
            VerilogOpUnary::Not => '~',
            VerilogOpUnary::Neg => '-',
            VerilogOpUnary::All => '&',
            VerilogOpUnary::Any => '|',
            VerilogOpUnary::Xor => '^',
        });
        self.visit_expression(operand);
    }

    fn visit_signed(&mut self, inner: &VerilogExpression) {
        self.0.push_str("$signed(");
        self.visit_expression(inner);
        self.0.push(')');
    }

    fn visit_unsigned(&mut self, inner: &VerilogExpression) {
        self.0.push_str("$unsigned(");
        self.visit_expression(inner);
        self.0.push(')');
    }

    fn visit_index(&mut self, of: &VerilogExpression, index: &VerilogExpression) {
        self.visit_expression(of);
        self.0.push('[');
        self.visit_expression(index);
        self.0.push(']');
    }

    fn visit_slice(&mut self, of: &VerilogExpression, width: &usize, low: &VerilogExpression) {
        self.visit_expression(of);
        match low {
            VerilogExpression::Literal(low) => {
                let low = low.as_usize();
                self.0.push_str(&format!("[{}:{low}]", low + width - 1));
            }
            low => {
                self.0.push('[');
                self.visit_expression(low);
                self.0.push_str(&format!(" +: {width}]"));
            }
        }
    }
}
