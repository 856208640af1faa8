/// Columns that stand under one another.
package struct Table: Sendable {
    package struct Column: Sendable, ExpressibleByStringLiteral {
        var title: String
        var isRight = false

        package init(stringLiteral title: String) { self.title = title }

        /// For numbers.
        package static func right(_ title: String) -> Column {
            var column = Column(stringLiteral: title)
            column.isRight = true
            return column
        }
    }

    package struct Cell: Sendable, ExpressibleByStringInterpolation {
        var text: String
        var tint: Style.Tint

        package init(_ text: String, _ tint: Style.Tint = .plain) {
            self.text = text
            self.tint = tint
        }

        package init(stringLiteral text: String) { self.init(text) }

        package init(_ number: some BinaryInteger) { self.init("\(number)") }

        package init(_ numbers: [Int32], _ tint: Style.Tint = .plain) {
            self.init(numbers.map(String.init).joined(separator: ","), tint)
        }

        package static let none = Cell("-", .dim)
    }

    private let columns: [Column]
    package var rows: [[Cell]]

    package init(_ columns: [Column], rows: [[Cell]] = []) {
        self.columns = columns
        self.rows = rows
    }

    /// A column in which no row has anything is left out. No rows, no text.
    package func text(indent: Int = 0, style: Style = .plain) -> String {
        guard !rows.isEmpty else { return "" }
        let cleaned = rows.map { row in
            columns.indices.map { index in
                guard index < row.count else { return Cell("") }
                return Cell(TerminalText.clean(row[index].text), row[index].tint)
            }
        }
        let shown = columns.indices.filter { index in
            cleaned.contains { !$0[index].text.isEmpty }
        }
        let lines = [columns.map { Cell($0.title, .strong) }] + cleaned
        let widths = columns.indices.map { index in
            lines.map { $0[index].text.count }.max() ?? 0
        }
        return lines.map { line in
            var text = ""
            // Blanks are only written once something follows them.
            var blanks = indent
            for index in shown {
                let cell = line[index]
                let room = widths[index] - cell.text.count
                if columns[index].isRight { blanks += room }
                if !cell.text.isEmpty {
                    text += String(repeating: " ", count: blanks)
                    text += style.paint(cell.text, cell.tint)
                    blanks = 0
                }
                blanks += columns[index].isRight ? 2 : room + 2
            }
            return text + "\n"
        }.joined()
    }

    /// Names and what belongs to them.
    package static func facts(
        _ facts: [(String, String)], indent: Int = 2, style: Style = .plain
    ) -> String {
        let width = facts.map(\.0.count).max() ?? 0
        return facts.filter { !$0.1.isEmpty }.map { name, value in
            String(repeating: " ", count: indent) + style.paint(name, .dim)
                + String(repeating: " ", count: width - name.count + 2)
                + TerminalText.clean(value) + "\n"
        }.joined()
    }
}
