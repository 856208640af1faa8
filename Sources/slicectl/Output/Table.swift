/// Columns that stand under one another.
package struct Table: Sendable {
    package enum Alignment: Sendable {
        case left, right
    }

    package struct Column: Sendable {
        package var title: String
        package var alignment: Alignment

        package init(_ title: String, _ alignment: Alignment = .left) {
            self.title = title
            self.alignment = alignment
        }
    }

    package struct Cell: Sendable, ExpressibleByStringInterpolation {
        package var text: String
        package var tint: Style.Tint

        package init(_ text: String, _ tint: Style.Tint = .plain) {
            self.text = text
            self.tint = tint
        }

        package init(stringLiteral text: String) { self.init(text) }
    }

    package var columns: [Column]
    package var rows: [[Cell]]

    package init(_ columns: [Column], rows: [[Cell]] = []) {
        self.columns = columns
        self.rows = rows
    }

    /// A column in which no row has anything is left out. Ends with a line break, unless there is
    /// no row: then it is empty.
    package func text(indent: Int = 0, style: Style = .plain) -> String {
        guard !rows.isEmpty else { return "" }
        let cleaned = rows.map { row in
            columns.indices.map { index in
                index < row.count
                    ? Cell(DisplayText.clean(row[index].text), row[index].tint) : Cell("")
            }
        }
        let shown = columns.indices.filter { index in
            cleaned.contains { !$0[index].text.isEmpty }
        }
        var widths: [Int: Int] = [:]
        for index in shown {
            let cells = cleaned.map { DisplayText.width($0[index].text) }
            widths[index] = max(DisplayText.width(columns[index].title), cells.max() ?? 0)
        }
        let head = columns.map { Cell($0.title, .strong) }
        return ([head] + cleaned).map { row in
            line(row, shown, widths, indent, style) + "\n"
        }.joined()
    }

    private func line(
        _ row: [Cell], _ shown: [Int], _ widths: [Int: Int], _ indent: Int, _ style: Style
    ) -> String {
        var text = String(repeating: " ", count: indent)
        // Blanks are only written once something follows them.
        var pending = 0
        for index in shown {
            let cell = row[index]
            let room = max(0, (widths[index] ?? 0) - DisplayText.width(cell.text))
            let isRight = columns[index].alignment == .right
            if isRight { pending += room }
            if !cell.text.isEmpty {
                text += String(repeating: " ", count: pending) + style.paint(cell.text, cell.tint)
                pending = 0
            } else {
                pending += DisplayText.width(cell.text)
            }
            if !isRight { pending += room }
            pending += 2
        }
        return text
    }
}
