from pipeline import readers


def p(words, properties=""):
    return f"<a:p><a:pPr>{properties}</a:pPr><a:r><a:t>{words}</a:t></a:r></a:p>"


def box(inner, place=None, holder=""):
    where = f'<a:xfrm><a:off x="{place[0]}" y="{place[1]}"/></a:xfrm>' if place else ""
    filled = f"<p:nvSpPr><p:nvPr><p:ph {holder}/></p:nvPr></p:nvSpPr>" if holder else ""
    return f"<p:sp>{filled}<p:spPr>{where}</p:spPr><p:txBody>{inner}</p:txBody></p:sp>"


def pages(content):
    document = readers.read(content, "a.pptx")
    return [document.text[page.start : page.end] for page in document.pages]


def test_a_slide_is_a_page_read_from_its_title_down_and_from_left_to_right(make_pptx):
    first = (
        box(p("right"), (5_000_000, 2_000_000))
        + box(p("left"), (100, 2_050_000))
        + box(p("low"), (100, 9_000_000))
        + box(p("Title"), (100, 5_000_000), 'type="title"')
    )

    assert pages(make_pptx(first, box(p("Two")))) == ["Title\n\nleft\n\nright\n\nlow", "Two"]


def test_a_placeholder_stands_where_its_layout_puts_it(make_pptx):
    layout = box("", (100, 8_000_000), 'idx="1"') + box("", (100, 1_000_000), 'idx="2"')

    assert pages(make_pptx(box(p("low"), None, 'idx="1"') + box(p("high"), None, 'idx="2"'), layout=layout)) == [
        "high\n\nlow"
    ]


def test_lists_have_their_marks(make_pptx):
    auto = '<a:buAutoNum type="alphaLcParenR"/>'
    inner = p("a", '<a:buChar char="•"/>') + p("one", auto) + p("two", auto) + p("plain") + p("again", auto)

    assert pages(make_pptx(box(inner))) == ["- a\na) one\nb) two\nplain\na) again"]


def test_a_table_is_rows_of_cells(make_pptx):
    rows = "".join(
        f"<a:tr>{''.join(f'<a:tc><a:txBody>{p(text)}</a:txBody></a:tc>' for text in row)}</a:tr>"
        for row in ("ab", "cd")
    )
    frame = (
        f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )

    assert pages(make_pptx(frame)) == ["a | b\nc | d"]


def test_notes_stand_below_the_slide(make_pptx):
    notes = box(p("say hello"), None, 'type="body" idx="1"') + box(p("7"), None, 'type="sldNum"')

    assert pages(make_pptx(box(p("Slide")), notes=notes)) == ["Slide\n\nsay hello"]


def test_footers_are_read_once_and_slide_numbers_never(make_pptx):
    slide = box(p("Text")) + box(p("ACME"), None, 'type="ftr"') + box(p("7"), None, 'type="sldNum"')

    assert pages(make_pptx(slide, slide)) == ["Text\n\nACME", "Text"]


def test_boxes_in_groups_are_read_and_alternatives_once(make_pptx):
    inner = box(p("x"))
    both = (
        f"<mc:AlternateContent><mc:Choice>{inner}</mc:Choice><mc:Fallback>{inner}</mc:Fallback></mc:AlternateContent>"
    )

    assert pages(make_pptx(f"<p:grpSp><p:grpSp>{box(p('in'))}</p:grpSp></p:grpSp>" + both)) == ["in\n\nx"]
