"""Writes test/differential/jinja.json: what Python's Jinja, as transformers sets it up, makes of templates and expressions.

Run: pip install 'transformers==5.24.*' jinja2; python scripts/oracle/jinja.py
"""

import json
import os
import sys

from fixed_date import utils

DATA = {
    "s": "  Hello, wörld\n",
    "t": "a-b_c d.e",
    "empty": "",
    "n": 7,
    "f": 2.5,
    "neg": -7,
    "whole": 10.0,
    "big": 9007199254740993,
    "near": 9007199254740992.0,
    "keys": {"b": 1, "2020": 5.0, "10": [6, 1e16, 1e-05]},
    "none": None,
    "yes": True,
    "list": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "mixed": [1, "x", None, True, 2.5],
    "d": {"b": 1, "a": [1, {"x": "é\"\n"}], "Z": None},
    "users": [{"name": "Bo", "age": 3, "ok": True}, {"name": "al", "age": 1, "ok": False}, {"name": "Cy", "age": 3, "tags": ["x"]}],
    "emoji": "a😀é",
    "html": "<a href='x'>T&J</a>",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": " 2+2? \n"},
        {"role": "assistant", "content": "\n\n4\n", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "y": "ü<"}}}]},
        {"role": "tool", "content": "ok", "name": "f"},
    ],
    "add_generation_prompt": True,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}],
}

EXPRESSIONS = r"""
s.strip() | s.strip(' ') | s.lstrip() | s.rstrip('\n') | s.strip(none) | 'xxaxx'.strip('x') | 'abcba'.strip('ab') | '\n\nx\n'.lstrip('\n') | ' x'.strip('')
t.split('-') | t.split() | ' a  b '.split() | ' a  b '.split(' ') | 'a,b,c'.split(',', 1) | 'a,b,c'.rsplit(',', 1) | ' a b  c '.split(none, 1) | ' a b  c '.rsplit(none, 1) | 'a'.split(maxsplit=0) | ''.split() | ''.split(',') | ' '.split() | '  a b '.split(maxsplit=1)
'a\nb\r\nc\n'.splitlines() | 'a\nb'.splitlines(true) | 'x'.partition('y') | 'a=b=c'.partition('=') | 'a=b=c'.rpartition('=') | '</think>'.join(['a', 'b'])
'abcabc'.replace('b', 'X') | 'abcabc'.replace('b', 'X', 1) | 'abc'.replace('', '-') | 'aaa' | 'aaa'.replace('aa', 'b')
'Hello'.startswith('He') | 'Hello'.startswith(('x', 'H')) | 'Hello'.endswith('lo', 2) | 'Hello'.startswith('l', 2, 4) | 'Hello'.find('l') | 'Hello'.rfind('l') | 'Hello'.find('z') | 'Hello'.index('e') | 'Hello'.count('l') | emoji.find('é') | 'abc'.count('')
'Hello World'.upper() | 'HELLO'.lower() | 'hello wORLD'.title() | "they're bill's".title() | 'hELLO wORLD'.capitalize() | 'Ab'.swapcase() | 'ß'.upper() | 'Straße'.casefold() | 'abc'.removeprefix('a') | 'abc'.removesuffix('c') | 'abc'.removesuffix('')
'a'.center(5, '*') | 'ab'.center(5) | 'a'.center(4) | 'a'.ljust(3) | 'a'.rjust(3, '0') | '-5'.zfill(4) | 'x'.zfill(3) | 'a\tb'.expandtabs(4)
'12'.isdigit() | '²'.isdigit() | '½'.isnumeric() | 'a1'.isalnum() | 'a'.isalpha() | ' '.isspace() | ''.isspace() | 'A1'.isupper() | 'a1'.islower() | 'Ab Cd'.istitle() | 'a_1'.isidentifier() | 'é'.isascii() | '1.0'.isdecimal()
'{} and {}'.format('a', 1) | '{1}{0}'.format('a', 'b') | '{x:>5}|{y:05.1f}'.format(x='a', y=2.25) | '{0[a]}'.format({'a': 1}) | '{:,}'.format(1234567) | '{:.2%}'.format(0.1234) | '{:08b}'.format(10) | '{:#x}'.format(255) | '{:e}'.format(12345.678) | '{:g}'.format(0.00001234) | '{:+d}'.format(5) | '{!r}'.format('a') | '{{}}'.format() | '{:^7}'.format('ab') | '{:.3}'.format('abcdef') | '{:10.3g}'.format(3.14159)
'%s is %d' % ('a', 3) | '%5.2f' % 3.14159 | '%-5s|' % 'a' | '%05d' % 42 | '%x' % 255 | '%(a)s' % {'a': 1} | '%%' % () | '%r' % 'x' | '%s' % [1] | '%e' % 1234.5 | '%s%%' % 5 | '%.0f' % 0.5 | '%.0f' % 1.5 | '%.2f' % 0.125 | '%+d' % 3 | '%g' % 1e20 | '%c' % 'x'
1 + 2 | 7 / 2 | 7 // 2 | -7 // 2 | 7 % 3 | -7 % 3 | 7 % -3 | 2 ** 10 | 2 ** -1 | 2 ** 0.5 | 1.5 + 1 | 4 / 2 | 1e3 | 1e16 | 1e15 | 1.0 | 100000000000000000000 | 12345678901234567890 + 1 | 12345678901234567890 * 98765432109876543210 | 0.1 + 0.2 | 1e-5 | 0.0001 | 1e22 | 123456789.123 | -0.0 | 7.0 // 2 | -7.5 % 2 | 1_000 | 0x1f | 0b11 | 3.0e2 | -2 ** 2 | 10 ** 20 | 5 - -3 | +3 | true + 1 | 1 == 1.0 | 1 == true
'a' + 'b' | 'ab' * 3 | 3 * 'ab' | [1] + [2] | [0] * 3 | (1, 2) + (3,) | 'a' ~ 1 ~ none ~ true ~ 1.0 | 1 ~ 2 | 'a' 'b'
1 < 2 < 3 | 1 < 3 < 2 | 'a' < 'b' | 'B' < 'a' | [1, 2] < [1, 3] | (1,) < (1, 0) | 'é' > 'z' | 2 in [1, 2] | 'x' not in 'abc' | 'b' in d | 'ell' in 'hello' | none == false | '' == none | [] == [] | {'a': 1} == {'a': 1.0} | 1 != '1' | '1' == 1 | (1, 2) == [1, 2] | 1 in (1, 2) | not 1 == 2
not '' | not [] | not {} | not 0 | not 0.0 | not none | not undefined_name | not 'a' | '' or 'x' | 'a' and 'b' | 0 or none | [] and 1 | none or [] | 'a' if yes else 'b' | 'a' if empty else 'b' | 'a' if false | ('x' if n > 5 else 'y') ~ '!' | 1 if 0 else 2 if 0 else 3
list[0] | list[-1] | list[1:] | list[::-1] | list[:-1] | list[5] | list[-5:] | list[10:] | s[2:7] | s[::-1] | emoji[1] | emoji[1:] | emoji|length | emoji[::-1] | d['a'] | d.a | d.b | d.missing | d['missing'] | d.a[1].x | users[0]['name'] | users[0].name | users.0.name | messages[-1].role | (1, 2)[0] | 'abc'[-2] | d.a[0:1] | list['x'] | none.x | list[true] | messages[1:][0].role | s[none:3]
d.Z | d['Z'] | d.get('Z', 'q') | d.Z is none | [none]|first | missing|default(none) | 'x'|int(none) | 'x'|float(none) | d.items() | list | d.keys()|list | d.values()|list | d.get('b') | d.get('q') | d.get('q', 'z') | d|items|list | d|dictsort | d|dictsort(true) | d|dictsort(by='value', reverse=true)|length | d | d|length | d.items()|list | dict(a=1, b='x') | dict([('a', 1)]) | {'a': 1, 'a': 2} | {1: 'a', 'b': [1]} | {} | () | (1,) | [1, 'a', none, true, 1.5] | ["it's", 'say "hi"', 'both \' "'] | ['\n\t\\é\x00'] | [undefined_name]
d|tojson | d|tojson(indent=2) | list|tojson(indent=4) | 'é<>&"\'\\/\u2028'|tojson | 'é😀'|tojson(ensure_ascii=true) | [1.0, 1e20, 1e-7, 100000.5, none, true]|tojson | d|tojson(separators=(',', ':')) | d|tojson(sort_keys=true) | {}|tojson(indent=2) | []|tojson | {'a': []}|tojson(indent=2) | (1, 2)|tojson | {1: 2, none: 3, true: 4}|tojson | '\x00\x1f\x7f\b\f'|tojson | tools|tojson | tools[0]|tojson(indent=4) | messages[2].tool_calls[0].function.arguments|tojson | {'a': {'b': [1, {'c': 2}]}}|tojson(indent=1) | d|tojson(indent='\t') | {'a': 1, 'b': 2}|tojson(indent=0) | 12345678901234567890|tojson
d|attr('b') | d|attr('b') is defined | messages|last|attr('role') | users|groupby('age')|map(attribute='grouper')|list | users|groupby('age')|map(attribute='list')|map('length')|list | (users|groupby('age')|first).grouper
list|first | list|last | []|first | words|sort | words|sort(reverse=true) | words|sort(case_sensitive=true) | users|sort(attribute='age')|map(attribute='name')|list | users|sort(attribute='age,name')|map(attribute='name')|join | list|sum | users|sum(attribute='age') | list|max | words|min | words|max | []|max | words|unique|list | words|join(',') | list|join | users|join(', ', attribute='name') | mixed|join('|') | list|reverse|list | 'abc'|reverse | list|list | 'abc'|list | range(3)|list | range(5, 1, -2)|list | range(2, 4)|list | words|map('upper')|list | words|map('upper')|join | users|map(attribute='tags', default='-')|list | list|map('string')|list | ['1', '2']|map('int')|sum
users|selectattr('ok')|map(attribute='name')|list | users|selectattr('age', 'equalto', 3)|list|length | users|rejectattr('ok')|list|length | users|selectattr('tags', 'defined')|list|length | list|select('odd')|list | list|reject('odd')|list | [0, 1, '', 'a']|select|list | list|select('gt', 1)|list | list|select('>', 1)|list | users|rejectattr('name', 'in', ['Bo'])|map(attribute='name')|list | users|groupby('age')|length | users|groupby('age')|map('first')|list | messages|selectattr('role', 'eq', 'user')|list|length | messages|rejectattr('role', 'in', ['system'])|list|length
'a b'|capitalize | 'hello world-foo (bar)'|title | 'abc'|upper | 'ABC'|lower | '  x '|trim | 'xxaxx'|trim('x') | none|trim | n|string | 'a'|center(5) | html|escape | html|e | 'a b&c/d'|urlencode | 'one two three'|wordcount | 'a\nb\n\nc'|indent | 'a\nb'|indent(2, true) | 'a\n\nb'|indent(2, blank=true) | 'a\nb'|indent('> ') | 'x\n'|indent | ('word ' * 10)|truncate(12) | ('word ' * 10)|truncate(12, true) | 'abcdefgh'|truncate(5, true, '!', 0) | 'foo bar'|replace('o', '0') | 'foo'|replace('o', '0', 1) | 123|replace(2, 'x') | '%s-%s'|format(1, 'b') | '%(a)s'|format(a=3)
'3'|int | '3.9'|int | 'x'|int | 'x'|int(-1) | '0x1f'|int(base=16) | '11'|int(base=2) | 3.9|int | none|int | '1e2'|int | ' 5 '|int | '3.5'|float | 'x'|float | 'x'|float(1.5) | n|float | '1_0'|int | 'inf'|float | 42.55|round | 42.55|round(1, 'floor') | 42|round | 2.5|round | 3.5|round | 2.675|round(2) | 1234|round(-2) | 42.45|round(method='ceil') | -2.5|round | -5|abs | -1.5|abs | '5'|float|int
missing|default('x') | none|default('x') | none|default('x', true) | ''|d('y', boolean=true) | missing|default | missing is defined | n is defined | d.q is defined | d.b is not defined | none is none | missing is none | n is number | f is number | yes is number | 'a' is string | n is string | d is mapping | list is mapping | list is iterable | 'a' is iterable | n is iterable | d is iterable | list is sequence | 'a' is sequence | d is sequence | n is integer | yes is integer | f is float | n is float | yes is boolean | none is boolean | yes is true | 1 is true | false is false | 3 is odd | 4 is even | 9 is divisibleby 3 | 9 is divisibleby(2) | 'a' is lower | 'A' is upper | 1 is in [1] | 1 is eq 1 | 2 is gt 1 | 2 is lt(1) | range is callable | n is callable | none is sameas none | 'join' is filter | 'odd' is test | missing is undefined | 'x' is not string | n is ne 3
list|batch(2)|list | list|batch(2, 0)|list | list|slice(2)|list | [1,2,3,4,5]|slice(3, 'x')|list | (list|length) + 1 | list|length > 2 | -n|abs | n|string ~ '!' | words|sort|first | d.a|first + 1 | namespace(a=1).a | (1 + 2) * 3 | 2 + 3 * 4 | 'a' in 'abc' and 1 | [x for_ in y]
whole | whole is float | whole is integer | whole + 1 | whole * 2 | whole // 3 | whole == 10 | {10: 'a'}[whole] | whole|int | whole|tojson | [whole] | '%d' % whole | '%s' % whole | whole|round(1) | whole is divisibleby 5 | keys | keys|tojson | keys|list | keys|dictsort | keys.items()|list | keys['10'] | big | big|tojson | big + 1 | big == near | big > near | near < big | big in [near] | {big: 1, near: 2}|length | big|float | [near, big]|unique|list | [big, near]|max | 1.0 // 0.1 | -1 // 0.3 | 5.5 // -2 | 0.0 // -3 | -7.5 % 2.5 | 7.5 % -2.5 | -0.0|abs | 1e308 * 10
undefined_name in {'a': 1} | {'a': 1}[undefined_name] | {'a': 1}.get(undefined_name, 'z') | {undefined_name: 1}|length | {undefined_name: 1}[other_name] | undefined_name in d
'<x>' + ('a'|e) | ('a'|e) + '<x>' | ('<'|safe) + '<' + '>' | '<x>' ~ ('a<'|e) | html|e|e | '<'|safe|e | '<'|e|forceescape | 'a'|e is escaped | 'a' is escaped | ('a'|e)|upper is escaped | '&' + ('a'|e)|upper | '&' + (' a '|safe)|trim | '&' + ('a'|safe)|string | '&' + ('a'|safe)|title | '&' + ('a'|safe)|replace('b', 'c') | '&' + ('a'|safe)|replace('a', '<') | '&' + ('ab'|safe)[0] | '&' + ('ab'|safe)[:1] | '&' + ('ab'|safe).strip() | '&' + ('a b'|safe).split()[1] | ('<'|safe) * 2 + '<' | ('a'|safe) == 'a' | 'a' in ('ab'|safe) | {'a': 1}['a'|safe] | ['<'|e] | ('<'|safe)|tojson | d|tojson|safe | '<' + d|tojson|safe | '<' + (d|tojson|safe) | ('a'|safe)|length | ('a,b'|safe)|list | ','|safe|join | ['<', '>']|join(','|safe) | ('a'|safe)|default('b') + '<' | ('abc'|safe)|reverse + '<' | ('a'|safe).upper() + '<' | ('a'|safe).startswith('a') | '%s' % ('<'|e) | '{}'.format('<'|safe) | 'x'.join(['<'|safe]) + '<' | ('a'|safe)|indent + '<' | ('abcdefghij'|safe)|truncate(5) + '<' | undefined_name|e + '<' | ('a'|safe)|center(3) + '<' | n|safe + '<'
strftime_now('%Y-%m-%d') | strftime_now('%d %B %Y') | strftime_now('%A, %d %b %y') | strftime_now('%H:%M:%S %p %I') | strftime_now('%j %U %W %w %u') | strftime_now('%%') | strftime_now('%-d/%-m') | strftime_now('no') | strftime_now('%D %T %R %F') | strftime_now('%x %X') | strftime_now('%c') | strftime_now('%e|%k|%l') | strftime_now('%G-%V %C %h') | strftime_now('%Z%z') | strftime_now('%s') is string
list.append(1) | list.pop() | d.update({'a': 1}) | undefined_name.x | undefined_name + 1 | undefined_name() | undefined_name['x'] | none + 1 | 'a' + 1 | 1 / 0 | list|nofilter | 1 is notest | 'a' < 1 | n() | raise_exception('no') | [1][{}] | {[]: 1} | 'x'.foo() | d.missing.x | ''.join([1]) | 'a'.split('') | 'x'.index('y') | none|length | 5|first | range(1000000) | 'a' is lt 1 | 'a' * 'b' | -'a' | '%d' % 'x' | '{}'.format() | 'a'.upper(1) | 'x'|tojson(foo=1) | none.split('x') | users|map(attribute='nope')|join | n.x
'a\x41\u00e9\101\q\'' | "tab\there" | 'line\
break' | 'a' ~ "b" | 'é' | '\\n' | "\"" | '{{' | '%}'
"""

TEMPLATES = [
    "plain\n",
    "plain\n\n",
    "a\r\nb\rc\n",
    "  {% if yes %}\n  x\n  {% endif %}\n  y\n",
    "{%- if yes -%}\n  x\n  {%- endif -%}\n  y\n",
    "a {%+ if yes %} b {%+ endif %} c",
    "a\n   {%+ if yes %}b{% endif +%}\nc",
    "{# comment #}\nx {#- c -#} y {#+ c +#} z",
    "  {# c #}\n  x",
    "{{ '{{' }}{% raw %} {{ x }} {% y %} {% endraw %}!",
    "a\n  {% raw %}\n  b\n  {% endraw %}\nc",
    "{%- raw -%}  x  {%- endraw -%}  y",
    "{{- ' a ' -}}  b  {{ 'c' -}}\n d",
    "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ x }};{% endfor %}",
    "{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}{% for x in list if x > 1 %}{{ loop.index }}{{ x }}{{ loop.length }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'aé😀' %}{{ c }}.{% endfor %}",
    "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x > 4 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for a in [1, 2] %}{% for b in [3, 4] %}{% if b == 4 %}{% continue %}{% endif %}{{ a }}{{ b }}{{ loop.index }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in [[1, [2]], [3, []]] recursive %}{{ x[0] }}{{ loop.depth }}{% if x[1] %}({{ loop([[9, []]]) }}){% endif %}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=0, l=[]) %}{% for i in list %}{% set ns.x = ns.x + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.x }}{{ ns.l }}{{ ns.y is defined }}",
    "{% if yes %}{% set y = 3 %}{% endif %}{{ y }}{% if false %}{% set z = 3 %}{% endif %}{{ z }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = [3, 4] %}{{ c }}{{ d2 }}{% set t = 1, %}{{ t }}",
    "{% set x %}  block {{ n }}\n{% endset %}[{{ x }}]{% set y | trim | upper %} a {% endset %}[{{ y }}]",
    "{% macro f(a, b='x', c=none) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 2, c=3) }} {{ f(b=1, a=2) }} {{ f() }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro outer() %}[{{ caller('x') }}]{% endmacro %}{% call(v) outer() %}in {{ v }}{% endcall %}",
    "{% macro m() %}{{ g }}{% endmacro %}{% set g = 5 %}{{ m() }}",
    "{% macro f(a='d', b='e') %}{{ a }}{{ b }}{% endmacro %}{{ f(none, b=none) }}{{ f(0, '') }}{% for x in [none, 1] %}{{ loop.nextitem }}{{ loop.previtem }}{% endfor %}",
    "{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(3) }}",
    "{% macro  f(x) -%}\n   {{ x }}\n{%- endmacro %}\n{{ f('a') }}|",
    "{% filter upper %}abc {{ t }}{% endfilter %}{% filter replace('a', 'b') | upper %}aa{% endfilter %}",
    "{% with a = 1, b = n %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% if n == 1 %}1{% elif n == 7 %}7{% else %}?{% endif %}{% if not yes %}{% elif empty %}{% else %}e{% endif %}",
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set sys = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}{{ sys }}{{ loop_messages|length }}",
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) and false %}{{ raise_exception('alternate') }}{% endif %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}",
    "{%- for message in messages %}\n    {%- if message.role == 'assistant' and message.tool_calls %}\n        {%- for tool_call in message.tool_calls %}\n            {%- if tool_call.function is defined %}\n                {%- set tool_call = tool_call.function %}\n            {%- endif %}\n            {{- '\\n<tool_call>\\n{\"name\": \"' }}\n            {{- tool_call.name }}\n            {{- '\", \"arguments\": ' }}\n            {{- tool_call.arguments | tojson }}\n            {{- '}\\n</tool_call>' }}\n        {%- endfor %}\n    {%- endif %}\n{%- endfor %}",
    "{%- if tools %}\n    {{- 'Tools:' }}\n    {%- for tool in tools %}\n        {{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n{%- endif %}",
    "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}\n{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    {%- if ns.multi_step_tool and message.role == \"user\" and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}\n        {%- set ns.multi_step_tool = false %}\n        {%- set ns.last_query_index = index %}\n    {%- endif %}\n{%- endfor %}{{ ns.last_query_index }}",
    "{%- for m in messages %}{%- if m.role == 'assistant' %}{%- set content = m.content.split('</think>')[-1].lstrip('\\n') %}{{ content.rstrip('\\n').split('<think>')[-1] }}{%- endif %}{%- endfor %}",
    "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{{ 'Today Date: ' + date_string }}",
    "{% generation %}x{{ n }}{% endgeneration %}\ny",
    "{% for m in messages %}{%- if not loop.first %} | {% endif -%}{{ m.role|capitalize }}: {{ m.content|trim }}{% endfor %}",
    "{{ messages|map(attribute='role')|join('/') }} {{ messages | selectattr('role', '==', 'tool') | map(attribute='name') | first }}",
    "{% block a %}x{{ n }}{% endblock %}{% block b %}y{% endblock b %}",
    "{% set x = cycler('a', 'b') %}{{ x.next() }}{{ x.next() }}{{ x.next() }}{{ x.current }}{% set j = joiner('|') %}{{ j() }}1{{ j() }}2",
    "{{ 1 if yes }}{{ 'a' if false }}|{{ [1, 2, 3,] }}{{ {'a': 1,} }}{{ (1) }}",
    "{{ messages[0]\n  .role }}{{\n n }}",
    "{% set content = messages[0].content if messages[0].content is string else '' -%}\n{{ content }}",
    "{{ \"a\" -}}\n\n  b {%- set x = 1 %}\n\n c",
    "\n\n{{ n }}\n\n",
    "{% for i in list -%}\n {{ i }}\n{%- endfor %}\n",
    "{% for (a, b) in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% if 'system' in messages|map(attribute='role') %}y{% endif %}{% if 'tool_calls' in messages[2] and messages[2]['tool_calls'] is not none %}t{% endif %}",
    "{{ '' }}\n{{ 'x' }}\n",
    "\t{% if yes %}\n\tx\n\t{% endif %}\n\ty\u00a0{%- if yes %}z{% endif %}",
    "{% if %}", "{% for x in %}{% endfor %}", "{{ 1 + }}", "{% if yes %}", "{% endif %}", "{{ x", "{# x", "{% foo %}", "{{ 'a }}", "{{ (1 }}", "{% set 1 = 2 %}", "{% set n.x = 2 %}", "{{ 1 2 }}", "{% raw %}x", "{{ a b }}", "{% include 'x' %}",
    "{% for m in messages %}{{ m.content }}{% endfor %}{{ messages.append(1) }}",
    "{% set _ = users.append({}) %}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set x = '<'|e %}{{ x + '<' }}{% set y %}<{% endset %}{{ y + '<' }}{% macro m() %}<{% endmacro %}{{ m() + ('a'|e) }}{% filter e %}<{% endfilter %}",
]


def expressions():
    for line in EXPRESSIONS.strip("\n").split("\n"):
        if line.endswith("\\"):  # a literal that goes on in the next line
            pending = line
            continue
        if "pending" in locals() and pending is not None:
            line, pending = pending + "\n" + line, None
        depth, start, quote = 0, 0, None
        parts = []
        i = 0
        while i < len(line):
            c = line[i]
            if quote:
                if c == "\\":
                    i += 1
                elif c == quote:
                    quote = None
            elif c in "'\"":
                quote = c
            elif c in "([{":
                depth += 1
            elif c in ")]}":
                depth -= 1
            elif line.startswith(" | ", i) and depth == 0:
                parts.append(line[start:i])
                start = i + 3
                i += 2
            i += 1
        parts.append(line[start:])
        yield from (part.strip() for part in parts)


def render(template):
    try:
        return {"template": template, "text": utils._compile_jinja_template(template).render(**DATA)}
    except Exception as error:  # every kind of Python's exceptions is an error of the template
        return {"template": template, "error": type(error).__name__}


cases = [render("{{ " + e + " }}") for e in expressions()] + [render(t) for t in TEMPLATES]
cases = [c for c in cases if "object at 0x" not in c.get("text", "")]
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/differential/jinja.json")
with open(path if len(sys.argv) < 2 else sys.argv[1], "w") as file:
    body = ",\n    ".join(json.dumps(c, ensure_ascii=False) for c in cases)
    file.write('{\n  "data": ' + json.dumps(DATA, ensure_ascii=False) + ',\n  "cases": [\n    ' + body + "\n  ]\n}\n")
print(len(cases), "cases,", sum("error" in c for c in cases), "of them errors")
