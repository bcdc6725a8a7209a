import { afterAll, describe, expect, test } from "vitest";
import { scanner } from "../../test/scanner.ts";

const { scan, remove } = scanner();
afterAll(remove);

describe("CSV and TSV", () => {
  test("quotes, commas, doubled quotes and line breaks in cells; a header line", async () => {
    const text = 'a,b\r\n"1,\n""x""",2\n,"3"\n"",\n';
    expect((await scan("a.csv", text)).rows).toEqual([
      [2, { a: '1,\n"x"', b: "2" }],
      [4, { a: "", b: "3" }],
      [5, { a: "", b: "" }],
    ]);
  });

  test("layouts name the columns of files without a header; a header is recognised", async () => {
    const layouts = [["text", "label"]];
    expect((await scan("b.csv", "x,1\ny,0", { layouts })).rows[0]).toEqual([1, { text: "x", label: "1" }]);
    expect((await scan("c.tsv", "label\ttext\n1\tx", { layouts })).rows).toEqual([[2, { text: "x", label: "1" }]]);
    expect((await scan("d.tsv", 'a "b"\t1', { layouts })).rows[0]?.[1]).toEqual({ text: 'a "b"', label: "1" });
  });

  test("faults", async () => {
    const result = await scan("e.csv", 'a,b\n1\n"x"y,2\n1,2\n"open,3\n4,5');
    expect(result.faults).toEqual([
      [2, 1, "COLUMN_COUNT"],
      [3, 4, "CSV_BAD_QUOTE"],
      [5, 1, "CSV_OPEN_QUOTE"],
    ]);
    // A quote that is never closed costs its own line only.
    expect(result.rows.map(([line]) => line)).toEqual([4, 6]);
    expect((await scan("h.csv", 'a,b\n"x,1\n2,3\n"y,4\n"z\n",5')).faults).toEqual([
      [2, 1, "CSV_OPEN_QUOTE"],
      [4, 1, "CSV_OPEN_QUOTE"],
    ]);
    expect((await scan("f.csv", "a,a\n1,2")).faults).toEqual([[1, 1, "COLUMN_TWICE"]]);
  });

  test("quotes in other cells are text, as Python's csv and pandas read them", async () => {
    const text = 'a,b\n24" wide,x\nthe "good" one,"y"\n "z",\n';
    expect((await scan("i.csv", text)).rows.map(([, values]) => Object.values(values))).toEqual([
      ['24" wide', "x"],
      ['the "good" one', "y"],
      [' "z"', ""],
    ]);
  });

  test("cells separated by ; or tabs, lines that end with CR", async () => {
    expect(await scan("j.csv", 'a;b\n"1;2";3,4\n')).toMatchObject({
      rows: [[2, { a: "1;2", b: "3,4" }]],
      file: { notes: ["cells separated by ;"] },
    });
    expect((await scan("j.csv", "a\tb\n1,5\t2\n")).rows).toEqual([[2, { a: "1,5", b: "2" }]]);
    expect((await scan("j.csv", 'a,b\r1,2\r"x\ny",3')).rows).toEqual([
      [2, { a: "1", b: "2" }],
      [3, { a: "x\ny", b: "3" }],
    ]);
    expect((await scan("j.csv", "a,b\r1,2,3\r")).faults).toEqual([[2, 1, "COLUMN_COUNT"]]);
    const layouts = [["text", "label"]];
    expect((await scan("j.csv", '"x; y, z",1\n', { layouts })).rows).toEqual([[1, { text: "x; y, z", label: "1" }]]);
  });

  // What Python's csv.DictReader says of them, given `delimiter`, behind the line that names it.
  test.each([
    [";instruction;output\n0;What is 2,5 + 1?;3,5\n", { "": "0", instruction: "What is 2,5 + 1?", output: "3,5" }],
    ["Unnamed: 0;instruction;is it?\n0;q, r;a\n", { "Unnamed: 0": "0", instruction: "q, r", "is it?": "a" }],
    ["\tinstruction\toutput\n0\tq, r\ta\n", { "": "0", instruction: "q, r", output: "a" }],
    ["instruction;output;\nq, r;a;\n", { instruction: "q, r", output: "a", "": "" }],
    ["sep=;\r\ninstruction;output\r\nq, r;a\r\n", { instruction: "q, r", output: "a" }],
    ['"sep=|"\n2nd|out put?\nq, r|a\n', { "2nd": "q, r", "out put?": "a" }],
    ["sep=,\ninstruction,output\nq;r,a\n", { instruction: "q;r", output: "a" }],
  ])("headers with an empty name, and a first line that names what separates: %j", async (text, values) => {
    const { rows, faults } = await scan("n.csv", text);
    expect([rows.map(([, row]) => row), faults]).toEqual([[values], []]);
  });

  test("TSV: quoted cells as in CSV, and plain ones that only begin with a quote", async () => {
    const text = 'a\tb\n"x ""y"""\t1\n"x" is y\t2\n"open\t3\n"two\nlines"\t4\n';
    expect((await scan("k.tsv", text)).rows.map(([line, { a, b }]) => [line, a, b])).toEqual([
      [2, 'x "y"', "1"],
      [3, '"x" is y', "2"],
      [4, '"open', "3"],
      [5, "two\nlines", "4"],
    ]);
  });

  test("many quotes that do not end take no time that grows with their square", async () => {
    const start = performance.now();
    const { found } = await scan("l.csv", `a,b\n${'x""","y\n'.repeat(200_000)}`);
    expect(found.count).toBeGreaterThan(0);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test("columns count characters, also beyond the basic plane", async () => {
    expect((await scan("m.csv", 'a,b\n\u{1f600},"x"y\n')).faults).toEqual([[2, 6, "CSV_BAD_QUOTE"]]);
    expect((await scan("m.jsonl", '{"\u{1f600}": "\\ud83d\\ude00 \\\\ud83d \\ud83d"}')).faults).toEqual([
      [1, 29, "LONE_SURROGATE"],
    ]);
  });

  test("a quoted cell without end costs one row's memory, not the file's", async () => {
    const result = await scan("g.csv", `a,b\n"${`${"x".repeat(1023)}\n`.repeat(1100)}`);
    expect(result.faults[0]).toEqual([2, 1, "CSV_OPEN_QUOTE"]);
  });
});
