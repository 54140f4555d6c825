"""What deflate bodies may point back to before their first byte: part of the format, so never changed.

Written for this: frames of messages, tool calls and JSON, and common English. The commonest is last, where pointing
costs least.
"""

DICTIONARY = (
    b"0123456789abcdef00000000-0000-4000-8000-000000000000 https://www.github.com/en/api/v1/.html.json.png?id=&type="
    b"Monday, Tuesday, Wednesday, Thursday, Friday, January, February, March, April, August, September, October, "
    b"November, December, application/json, text/plain, text/html, charset=utf-8, base64, sha256:, error: not found, "
    b"function, return, import, class, public, string, number, integer, object, array, boolean, required, properties, "
    b'additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#","items":{"type":"object",'
    b'"properties":{"enum":["format":"date-time","default":null,"minimum":0,"maximum":"title":"status":"ok":true,'
    b'"success":"error":"message":"code":"data":[],"results":[{"score":0.,"total":1,"count":0,"limit":10,"page":'
    b'"version":"1.0.0","language":"en","email":"@example.com","phone":"address":"city":"country":"US","price":'
    b'"currency":"USD","quantity":1,"user_id":"session_id":"event":"action":"source":"target":"path":"label":"tags":['
    b'"metadata":{"created_at":"2024-01-01T00:00:00.000Z","updated_at":"2025-","timestamp":"date":"time":"start":"end":'
    b'"embedding":[0.0-0.0"memory":"notes":"summary":"preferences":"context":"query":"model":"usage":{"prompt_tokens":'
    b'"completion_tokens":"total_tokens":"finish_reason":"stop","index":0,"input":"output":"value":"key":"url":"https://'
    b'"type":"image_url","image_url":{"url":"data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ"data:image/png;base64,'
    b'iVBORw0KGgoAAAANSUhEUgAA"type":"image","source":{"type":"base64","media_type":"image/png","data":"'
    b'"type":"thinking","thinking":"","signature":"redacted_thinking","encrypted_content":"gAAAAAB'
    b'"type":"tool_result","tool_use_id":"toolu_01"is_error":false},{"type":"tool_use","id":"call_"name":"search",'
    b'"arguments":"{\\"query\\":\\"\\n\\n"}}],"tool_call_id":"tool_calls":[{"id":"call_","type":"function","function":{'
    b'"name":"get_","description":"The the current user. A list of items. If the file is not found, then you can use '
    b"that this. However, because there would be about their information, which could have been done before, after "
    b"some other people from what they were when it will also make more than one of these. Please help me with your "
    b"question. Thank you! I would like to know how do you want to do. I'm sorry, I don't think it's a good idea. "
    b"Sure, let me see. Here is the for and that in with is are was has have not but they can will all you your"
    b'","content":[{"type":"text","text":"name":"id":"text":null,"true,"false,"},{"role":"tool","content":"'
    b'"},{"role":"assistant","content":""}]},{"role":"system","content":"You are a helpful assistant.'
    b'"},{"role":"assistant","content":"[{"role":"user","content":"'
)
