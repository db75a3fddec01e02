/* What a report's page is made of, as strings; the Makefile says where Chart.js stands. */
    .section .rodata
    .macro text name, file
    .globl \name
\name:
    .incbin "\file"
    .byte 0
    .endm
    text nas_page_html, "core/stages/page/page.html"
    text nas_page_style, "core/stages/page/page.css"
    text nas_page_script, "core/stages/page/page.js"
    text nas_page_chart, CHART_JS
    .section .note.GNU-stack, "", %progbits
