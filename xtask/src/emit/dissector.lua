-- The form's own words: a structure is walked field by field, and what does not hold is an expert error.

local proto = Proto("messageu", "MessageU")
local types, formats, profiles, dialects = {}, {}, {}, {}
for _, declared in ipairs(form.types) do types[declared.name] = declared end
for _, format in ipairs(form.formats) do formats[format.name] = format end
for _, profile in ipairs(form.classic.profiles) do profiles[profile.name] = profile end

local fields, shown = {}, {}
local malformed = ProtoExpert.new("messageu.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
local unknown = ProtoExpert.new("messageu.unknown", "Unknown value", expert.group.UNDECODED, expert.severity.WARN)
local refused = ProtoExpert.new("messageu.refused", "Refused", expert.group.RESPONSE_CODE, expert.severity.NOTE)
proto.experts = { malformed, unknown, refused }

local function fail(text) error({ malformed = text }, 0) end

-- What the dialect adds to a message's type.
local type_offset = 0

-- Before what is wrong inside an envelope, which nobody on the way looks at.
local where = ""
local function wrong_here(tree, text) tree:add_proto_expert_info(malformed, where .. text) end

local function names(integer)
    local found = {}
    for _, value in ipairs(integer.values) do found[value.value] = value.name end
    return found
end

-- The kind of a field that is shown as one, or nil for what has parts.
local function plain(of)
    if of.integer then return { integer = { size = of.integer, values = {}, bits = false } } end
    if of.bytes then return { bytes = {} } end
    if of.counted then
        local content = of.counted.of
        if content == "bytes" or content.bytes_beginning_with then return { bytes = {} } end
        if content.text or content.text_or_none then return { text = {} } end
        return nil
    end
    if of.named and not types[of.named.name].kind.structure then return types[of.named.name].kind end
    return nil
end

local function declare(owner, field)
    local abbreviation = "messageu." .. owner:lower() .. "." .. field.name
    local kind, made = plain(field.type), nil
    if kind == nil then return end
    if kind.integer then
        local make = ({ ProtoField.uint8, ProtoField.uint16, nil, ProtoField.uint32, nil, nil, nil, ProtoField.uint64 })[kind.integer.size]
        local values = (#kind.integer.values > 0 and not kind.integer.bits) and names(kind.integer) or nil
        made = make(abbreviation, field.name, kind.integer.bits and base.HEX or base.DEC, values, nil, field.doc)
    elseif kind.text or kind.decimal then
        made = ProtoField.string(abbreviation, field.name, nil, field.doc)
    else
        made = ProtoField.bytes(abbreviation, field.name, nil, field.doc)
    end
    shown[owner .. "." .. field.name] = made
    table.insert(fields, made)
end

for _, declared in ipairs(form.types) do
    if declared.kind.structure then
        for _, field in ipairs(declared.kind.structure.fields) do
            if field.name ~= "" then declare(declared.name, field) end
        end
    end
end
local content_field = ProtoField.bytes("messageu.content", "content")
local echo_field = ProtoField.bytes("messageu.echo", "asker")
local tail_field = ProtoField.bytes("messageu.tail", "zeros behind")
table.insert(fields, content_field)
table.insert(fields, echo_field)
table.insert(fields, tail_field)
proto.fields = fields

-- A range, or nil: one without bytes cannot be asked for.
local function range(buffer, at, size)
    if size == 0 then return nil end
    if size < 0 or at + size > buffer:len() then fail("ends too soon") end
    return buffer(at, size)
end

local function add(tree, field, bytes, big)
    if bytes == nil or field == nil then return nil end
    if big then return tree:add(field, bytes) end
    return tree:add_le(field, bytes)
end

local function number(bytes, size, big)
    if size == 8 then return (big and bytes:uint64() or bytes:le_uint64()):tonumber() end
    return big and bytes:uint() or bytes:le_uint()
end

local function hex(buffer, at, size)
    local bytes = range(buffer, at, size)
    return bytes and bytes:bytes():tohex(true) or ""
end

local function look_up(values, path)
    local value = values
    for name in path:gmatch("[^.]+") do
        if type(value) ~= "table" then return nil end
        value = value[name]
    end
    return value
end

local function operand(of, values)
    if of.field then return look_up(values, of.field) end
    if of.integer then return of.integer end
    if of.bytes then return of.bytes end
    return math.max(of.parts.min, math.ceil(look_up(values, of.parts.of) / of.parts.size))
end

local function holds(check, values)
    if check.only_if and not holds(check.only_if, values) then return true end
    local left, right = operand(check.left, values), operand(check.right, values)
    if left == nil or right == nil then return true end
    if check.holds == "equal" then return left == right end
    if check.holds == "below" then return left < right end
    if check.holds == "at_most" then return left <= right end
    return left >= right
end

local function say(of, values)
    return of.field or (of.parts and "the parts of " .. of.parts.of) or tostring(of.integer or of.bytes)
end

local function demand(checks, values, tree)
    for _, check in ipairs(checks) do
        if not holds(check, values) then
            local words = { equal = "=", below = "<", at_most = "<=", at_least = ">=" }
            wrong_here(tree, string.format("%s %s %s does not hold (%s)", say(check.left),
                words[check.holds], say(check.right), check.error or "malformed"))
        end
    end
end

local walk_structure


local function is_text(kind, text)
    if #text < kind.min or #text > kind.max then return false end
    if #kind.runs == 0 then return true end
    local at = 1
    for _, run in ipairs(kind.runs) do
        local count = 0
        while count < run.max and at <= #text and text:byte(at) >= run.from and text:byte(at) <= run.to do
            at, count = at + 1, count + 1
        end
        if count < run.min then return false end
    end
    return at > #text
end

-- Walks one value. Gives where it ends, and the value: a number, hexadecimal digits, or a table.
local function walk(of, buffer, at, limit, tree, owner, field, context)
    local item = shown[owner .. "." .. field.name]
    if of.integer then
        local bytes = range(buffer, at, of.integer)
        add(tree, item, bytes, context.big)
        return at + of.integer, number(bytes, of.integer, context.big)
    elseif of.bytes then
        local size = of.bytes.fixed
        if of.bytes.field then size = look_up(context.values, of.bytes.field) end
        if of.bytes.parameter then size = context.parameters[of.bytes.parameter] end
        if of.bytes.up_to then
            for _, whole in ipairs(of.bytes.up_to) do
                if whole >= at - context.start and (size == nil or whole < size) then size = whole end
            end
            if size == nil then fail("too long") end
            size = size - (at - context.start)
        end
        if size == nil or at + size > limit then fail("ends too soon") end
        add(tree, item, range(buffer, at, size), true)
        return at + size, hex(buffer, at, size)
    elseif of.repeated then
        while at < limit do at = walk(of.repeated, buffer, at, limit, tree, owner, field, context) end
        return at, nil
    elseif of.counted then
        local counted = of.counted
        local count = number(range(buffer, at, counted.prefix), counted.prefix, context.big)
        if count < counted.min or count > counted.max then
            fail(string.format("%s: %d is not from %d to %d", field.name, count, counted.min, counted.max))
        end
        at = at + counted.prefix
        local content = counted.of
        if type(content) == "table" and content.items then
            local branch = tree:add(proto, buffer(at - counted.prefix), string.format("%s: %d", field.name, count))
            local start = at - counted.prefix
            for _ = 1, count do at = walk(content.items, buffer, at, limit, branch, owner, field, context) end
            branch:set_len(at - start)
            return at, nil
        end
        if at + count > limit then fail(field.name .. " ends too soon") end
        local bytes = range(buffer, at, count)
        local shown_item = add(tree, item, bytes, true)
        if type(content) == "table" and (content.text or (content.text_or_none and count > 0)) then
            if not is_text(types[content.text or content.text_or_none].kind.text, bytes:raw()) then
                wrong_here(shown_item or tree, field.name .. " is not so spelled")
            end
        end
        if type(content) == "table" and content.bytes_beginning_with then
            local beginning = content.bytes_beginning_with
            local _, values = walk_structure(beginning.name, buffer, at, at + count, shown_item, context.big, {})
            demand(beginning.checks, values, shown_item)
            for _, value in ipairs(types.EnvelopeKind.kind.integer.values) do
                if value.value == values.kind then context.inside(value.name:lower(), buffer, at, count, shown_item) end
            end
            return at + count, values
        end
        return at + count, hex(buffer, at, count)
    end
    local name = of.named.name
    local kind = types[name].kind
    if kind.structure then
        local parameters = {}
        for _, argument in ipairs(of.named.arguments) do
            parameters[argument.parameter] = argument.is.size or context.parameters[argument.is.parameter]
        end
        local branch = tree:add(proto, buffer(math.min(at, buffer:len() - 1)), field.name .. " (" .. name .. ")")
        local finish, values = walk_structure(name, buffer, at, limit, branch, context.big, parameters)
        if finish > at then branch:set_len(finish - at) end
        return finish, values
    elseif kind.integer then
        local size = kind.integer.size
        local bytes = range(buffer, at, size)
        local shown_item = add(tree, item, bytes, context.big)
        local value = number(bytes, size, context.big)
        if #kind.integer.values > 0 and not kind.integer.bits and size < 4 then
            local means = name == "MessageType" and (value - type_offset) % 256 or value
            local word = names(kind.integer)[means]
            if word == nil then
                (shown_item or tree):add_proto_expert_info(unknown, string.format("%s: %d has no name", field.name, value))
            elseif means ~= value then
                shown_item:append_text(string.format(", which means %s (%d)", word, means))
            end
        end
        return at + size, value
    elseif kind.bytes then
        add(tree, item, range(buffer, at, kind.bytes.size), true)
        return at + kind.bytes.size, hex(buffer, at, kind.bytes.size)
    end
    -- A text or a decimal takes the rest.
    local rest = range(buffer, at, limit - at)
    local shown_item = add(tree, item, rest, true)
    local text = rest and rest:raw() or ""
    if kind.text and not is_text(kind.text, text) or kind.decimal and not text:find("^%d+$") then
        wrong_here(shown_item or tree, field.name .. " is not so spelled")
    end
    return limit, hex(buffer, at, limit - at)
end

local function inside(name, buffer, at, size, tree)
    local format = formats[name]
    if format == nil then return end
    where = "inside: "
    local fine, result = pcall(function()
        local parameters = {}
        for _, argument in ipairs(format.arguments) do
            local value, fits = size - argument.less, #argument.one_of == 0
            for _, one in ipairs(argument.one_of) do fits = fits or one == value end
            if not fits or value < argument.min or value > argument.max or value % argument.multiple_of ~= 0 then
                fail(string.format("no %s has %d bytes", name, size))
            end
            parameters[argument.parameter] = value
        end
        local finish, values = walk_structure(format.type, buffer, at, at + size, tree, false, parameters)
        if finish ~= at + size then fail("bytes are behind the " .. name) end
        demand(format.checks, values, tree)
    end)
    if not fine then wrong_here(tree, type(result) == "table" and result.malformed or tostring(result)) end
    where = ""
end

walk_structure = function(name, buffer, at, limit, tree, big, parameters)
    local structure = types[name].kind.structure
    local values = {}
    local context = { big = big, values = values, parameters = parameters, start = at, inside = inside }
    for _, field in ipairs(structure.fields) do
        local before = at
        local value
        at, value = walk(field.type, buffer, at, limit, tree, name, field, context)
        if at > limit then fail(field.name .. " ends too soon") end
        if field.name ~= "" then values[field.name] = value end
        if field.role == "zeros" and hex(buffer, before, at - before):find("[^0]") then
            wrong_here(tree, field.name .. " is not zeros")
        end
        demand(field.checks, values, tree)
    end
    demand(structure.checks, values, tree)
    return at, values
end

-- A payload that takes exactly its bytes.
local function payload(name, buffer, at, size, tree, big)
    local branch = tree:add(proto, buffer(size > 0 and at or at - 1), name)
    if size > 0 then branch:set_len(size) end
    local fine, result = pcall(function()
        local finish = walk_structure(name, buffer, at, at + size, branch, big, {})
        if finish ~= at + size then fail(string.format("%d bytes are behind the payload", at + size - finish)) end
    end)
    if not fine then
        branch:add_proto_expert_info(malformed, type(result) == "table" and result.malformed or tostring(result))
    end
end

local function header(name, buffer, at, tree, big)
    local size = types[name].size.min
    local branch = tree:add(proto, buffer(at, size), name)
    local _, values = walk_structure(name, buffer, at, at + size, branch, big, {})
    return values, branch
end

local function peek(name, buffer, at, big)
    local values = {}
    for _, field in ipairs(types[name].kind.structure.fields) do
        local kind = plain(field.type)
        if kind.integer then values[field.name] = number(buffer(at + field.offset, kind.integer.size), kind.integer.size, big) end
    end
    return values
end

-- How many bytes of a pull are behind the header: some servers declare fewer.
local function pulled(layout, buffer, at, declared, profile, big)
    local item = types[types[layout].kind.structure.fields[1].type.repeated.named.name]
    local head, size_at = item.size.min, nil
    for _, field in ipairs(item.kind.structure.fields) do
        if field.name == "size" then size_at = field.offset end
    end
    local total, counted = 0, 0
    while counted < declared do
        if at + total + head > buffer:len() then return nil end
        local size = number(buffer(at + total + size_at, 4), 4, big)
        total, counted = total + head + size, counted + profile.entry_counted + size
    end
    return total
end

local function modern(buffer, at, tree, pinfo, is_request)
    local name = is_request and form.modern.request_header or form.modern.response_header
    local size = types[name].size.min
    if buffer:len() - at < size then return nil end
    local head = peek(name, buffer, at, false)
    local row, of = nil, nil
    for _, operation in ipairs(form.modern.operations) do
        local side = is_request and operation.request or operation.response
        if side.code == head.code then row, of = operation, side end
    end
    if not is_request and head.code == form.modern.refusal.code then row, of = { name = "refusal" }, form.modern.refusal end
    local limit = of and of.max or form.modern.unknown_request_max
    local wrong = head.version ~= form.modern.version and "the version is " .. head.version
        or head.size > limit and string.format("the size %d is above %d", head.size, limit) or nil
    if not wrong and buffer:len() - at < size + head.size then return nil, size + head.size end
    local _, branch = header(name, buffer, at, tree, false)
    if wrong then
        branch:add_proto_expert_info(malformed, wrong)
        return buffer:len() - at
    end
    pinfo.cols.info:append(string.format(" %s %s", row and row.name or head.code, is_request and "?" or "!"))
    if of == nil then
        branch:add_proto_expert_info(unknown, "the code is that of no operation")
    else
        payload(of.type, buffer, at + size, head.size, tree, false)
        if row.name == "refusal" then branch:add_proto_expert_info(refused, "the server refuses") end
    end
    return size + head.size
end

local function layout_of(layouts, profile)
    for _, layout in ipairs(layouts) do
        for _, name in ipairs(layout.profiles) do
            if name == profile then return layout.type end
        end
    end
end

local function classic(dialect, buffer, at, tree, pinfo, is_request)
    local profile = profiles[dialect.profile]
    local big = profile.byte_order == "big"
    local name = is_request and dialect.request_header or dialect.response_header
    type_offset = is_request and profile.sent_type_offset or profile.pulled_type_offset
    local start, left = at, buffer:len() - at
    local size = types[name].size.min
    if left < size then return nil end
    local head = peek(name, buffer, at, big)
    local row = nil
    for _, operation in ipairs(form.classic.operations) do
        for _, codes in ipairs(operation.codes) do
            if codes.family == dialect.family and codes[is_request and "request" or "response"] == head.code then row = operation end
        end
    end
    local echo = 0
    for _, code in ipairs(profile.echoes) do
        if not is_request and code == head.code then echo = 16 end
    end
    local of, payload_size, content = nil, head.size, 0
    if row and is_request then
        of = layout_of(row.request, profile.name)
        payload_size = types[of].size.min
        if row.content_size then
            if left < size + payload_size then return nil, size + payload_size end
            content = peek(of, buffer, at + size, big)[row.content_size]
        end
    elseif row then
        of = layout_of(row.response, profile.name)
        if row.name == "pull_messages" then
            payload_size = pulled(of, buffer, at + size + echo, head.size, profile, big)
            if payload_size == nil then return nil end
        end
        for _, instead in ipairs(row.response_instead) do
            local exact = types[instead].size
            if exact.min == head.size and exact.max == head.size then of = instead end
        end
    end
    local whole = size + echo + payload_size + content
    -- Zeros that nothing counts.
    local tail = (profile.block - whole % profile.block) % profile.block
    if is_request then tail = tail + profile.stray end
    if is_request and row and row.name == "send_message" and profile.fixed_send then
        tail = math.max(0, profile.fixed_send - whole)
    end
    if left < whole + tail then return nil, whole + tail end
    local _, branch = header(name, buffer, at, tree, big)
    at = at + size
    if echo > 0 then tree:add(echo_field, range(buffer, at, echo)) end
    at = at + echo
    pinfo.cols.info:append(string.format(" %s %s", row and row.name or head.code, is_request and "?" or "!"))
    if of then
        payload(of, buffer, at, payload_size, tree, big)
    elseif head.code == form.classic.refusal then
        branch:add_proto_expert_info(refused, "the server refuses")
    else
        branch:add_proto_expert_info(unknown, "the code is that of no operation")
    end
    at = at + payload_size
    if content > 0 then tree:add(content_field, range(buffer, at, content)) end
    at = at + content
    if tail > 0 then
        local item = tree:add(tail_field, range(buffer, at, tail))
        if hex(buffer, at, tail):find("[^0]") then item:add_proto_expert_info(unknown, "not all of them are zeros") end
    end
    return at + tail - start
end

local choices = { { 1, "automatic", 0 } }
for index, dialect in ipairs(form.classic.dialects) do
    dialects[index] = dialect
    table.insert(choices, { index + 1, dialect.name, index })
end
table.insert(choices, { #choices + 1, "version 3", #choices })
proto.prefs.dialect = Pref.enum("Dialect", 0, "What is spoken; automatic knows version 3 and the families", choices, false)

-- Who asked first in a stream, and what was recognised.
local streams = {}
function proto.init() streams = {} end

local function recognise(buffer)
    if buffer:len() < 19 then return nil end
    local version = buffer(16, 1):uint()
    if version == form.modern.version then return "modern" end
    local best = nil
    for _, dialect in ipairs(dialects) do
        local profile = profiles[dialect.profile]
        local width, matches = types[dialect.request_header].kind.structure.fields[3].size.min, false
        local code = number(buffer(17, width), width, profile.byte_order == "big")
        for _, operation in ipairs(form.classic.operations) do
            for _, codes in ipairs(operation.codes) do
                matches = matches or codes.family == dialect.family and codes.request == code
            end
        end
        local spoken = profile.request_versions[1] == version or profile.request_versions[2] == version
        if matches and spoken and best == nil then best = dialect end
    end
    return best
end

local tcp_stream = Field.new("tcp.stream")

function proto.dissector(buffer, pinfo, root)
    if buffer:len() == 0 then return 0 end
    local stream = tcp_stream()
    local key = stream and stream.value or 0
    local known = streams[key]
    if known == nil then
        known = { frames = 0, asker = tostring(pinfo.src) .. ":" .. pinfo.src_port }
        streams[key] = known
    end
    local is_request = known.asker == tostring(pinfo.src) .. ":" .. pinfo.src_port
    local choice = proto.prefs.dialect
    local dialect = choice > #dialects and "modern" or dialects[choice] or known.dialect
    if dialect == nil and is_request then
        dialect = recognise(buffer)
        if dialect == nil and buffer:len() < 19 then
            pinfo.desegment_offset, pinfo.desegment_len = 0, DESEGMENT_ONE_MORE_SEGMENT
            return
        end
        known.dialect = dialect
    end
    if dialect == nil then return 0 end
    pinfo.cols.protocol = "MessageU"
    pinfo.cols.info = "MessageU"
    local at = 0
    while at < buffer:len() do
        -- What was recognised as a family may pad after all: no frame is zeros alone.
        if choice == 0 and at + known.frames > 0 and dialect ~= "modern" and not hex(buffer, at, buffer:len() - at):find("[^0]") then
            root:add(tail_field, range(buffer, at, buffer:len() - at))
            return buffer:len()
        end
        local tree = root:add(proto, buffer(at), is_request and "MessageU request" or "MessageU response")
        local used, wanted
        if dialect == "modern" then
            used, wanted = modern(buffer, at, tree, pinfo, is_request)
        else
            used, wanted = classic(dialect, buffer, at, tree, pinfo, is_request)
        end
        if used == nil then
            pinfo.desegment_offset = at
            pinfo.desegment_len = wanted and wanted - (buffer:len() - at) or DESEGMENT_ONE_MORE_SEGMENT
            return
        end
        tree:set_len(used)
        at = at + used
        known.frames = known.frames + 1
    end
    return at
end

DissectorTable.get("tcp.port"):add_for_decode_as(proto)
pcall(function() DissectorTable.get("tls.alpn"):add(form.modern.alpn, proto) end)
